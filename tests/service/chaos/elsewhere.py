"""Faults that other tests do: those that no rig can do to itself, or that need one of their own."""

from __future__ import annotations

from dataclasses import dataclass

from service.chaos.fault import Part


@dataclass(frozen=True, slots=True)
class Other:
    """A fault, and the test that does it."""

    part: Part
    does: str
    consumer: str
    operator: str
    worker: str
    test: str


OTHERS: tuple[Other, ...] = (
    Other(
        "camera",
        "a clip or stream is corrupt, in 200 ways",
        "fewer frames, `corrupt` in `dropped_since_last`; or `camera` down or ended, with a reason",
        "`maskwatch_frames_dropped_total`, or the reason",
        "skips what is broken; never crashes, never hangs",
        "tests/capture/test_corrupt_clips.py::test_every_corrupt_clip_ends_or_has_a_reason",
    ),
    Other(
        "camera",
        "the camera's time stamps jump or stand",
        "`camera` up with `clock`, a warning; all frames",
        "`camera …: up, clock`, once",
        "goes by the arrival of frames",
        "tests/capture/test_watchdogs.py::test_a_clock_that_jumps_is_told_and_hides_nothing",
    ),
    Other(
        "camera",
        "the codec changes within a connection",
        "`camera` down, up and `gap`",
        "`camera …: down`, once",
        "connects anew",
        "tests/capture/test_changes.py::test_the_codec_changes_within_a_connection",
    ),
    Other(
        "camera",
        "pictures are larger than can be taken",
        "`camera` down: `unsupported`",
        "`camera …: down, unsupported`, with the size",
        "decodes none of it",
        "tests/capture/test_bounds.py::test_larger_pictures_are_refused",
    ),
    Other(
        "camera",
        "a camera's thread hangs in a library",
        "`camera` down: `timeout` or `stalled`, then `gap`",
        "`its thread hangs and is given up`",
        "gives the thread up, and begins with another one",
        "tests/test_service.py::test_hung_capture_thread_is_replaced",
    ),
    Other(
        "redis",
        "something else than Redis answers",
        "nothing for as long; then all of it, in order",
        "`what answers at … does not speak Redis`, once",
        "lets events wait, tries every 5 s at the latest",
        "tests/output/test_publish.py::test_what_is_no_redis_is_told",
    ),
    Other(
        "disk",
        "the spool is full",
        "`loss` with the range of `seq`; the oldest frames first, alerts last",
        "`maskwatch_events_lost_total` of `spool_full`",
        "keeps the newest, within `spool.max_mb`",
        "tests/output/test_spool.py::test_when_the_spool_is_full_the_oldest_frames_go_and_it_is_told",
    ),
    Other(
        "disk",
        "the spool's file is broken at the start",
        "what waited in it is missing",
        "one line that says so, and where the file was set aside",
        "sets it aside, and begins a new one",
        "tests/output/test_spool.py::test_a_broken_file_is_set_aside",
    ),
    Other(
        "disk",
        "the spool's file breaks while it is in use",
        "`loss` of what it alone held",
        "one line that says so; `maskwatch_spool_faults_total`",
        "sets it aside, and begins a new one with what is in memory",
        "tests/output/test_spool.py::test_a_file_that_breaks_costs_what_it_alone_held",
    ),
    Other(
        "disk",
        "the folder for the state cannot be made",
        "nothing",
        "a sentence, exit code 2",
        "does not start",
        "tests/output/test_spool.py::test_a_folder_that_cannot_be_made_is_told",
    ),
    Other(
        "worker",
        "a stage dies",
        "what is open ends with `stopped`; another `run_id` after the restart",
        "the reason, exit code 1; MaskwatchWorkerDown, if it lasts",
        "ends in order, for its supervisor to start it again",
        "tests/test_service.py::test_dead_stage_ends_the_worker",
    ),
    Other(
        "worker",
        "more than four threads hang in a library",
        "as above",
        "the reason, exit code 1",
        "ends in order, for its supervisor to start it again",
        "tests/test_service.py::test_too_many_hung_threads_end_the_worker",
    ),
    Other(
        "worker",
        "the device fails on a batch",
        "its faces are `unknown`",
        "`maskwatch_device_errors_total`; MaskwatchDeviceErrors, if it goes on",
        "passes that batch over; after three in a row it ends",
        "tests/test_service.py::test_one_failed_batch_is_counted_and_passed_over",
    ),
    Other(
        "worker",
        "the device fails on the pictures that faces are looked for in",
        "their frames are missing: `failed` in `dropped_since_last`",
        "`maskwatch_frames_dropped_total`, reason `failed`; the reason, exit code 1",
        "passes two batches over; after three in a row it ends",
        "tests/faces/test_maps.py::test_a_device_that_is_gone_ends_the_work",
    ),
    Other(
        "worker",
        "looking for faces in a picture does not come to an end",
        "as where a stage dies",
        "the reason after 60 s, exit code 1",
        "ends in order, for its supervisor to start it again",
        "tests/test_service.py::test_detection_that_hangs_ends_the_worker",
    ),
    Other(
        "worker",
        "a second worker of the same name is started",
        "nothing",
        "a sentence, and a code that is not 0, of the second one",
        "the first one goes on; the second one ends",
        "tests/service/test_fencing.py::test_a_second_worker_of_the_same_name",
    ),
    Other(
        "worker",
        "the wall clock is set while a camera is blind",
        "`gap` of the length that it had",
        "nothing",
        "measures by a clock that nobody sets",
        "tests/capture/test_sight.py::test_a_clock_that_was_set_changes_no_duration",
    ),
    Other(
        "worker",
        "there is more to do than it can",
        "fewer frames of every camera, `replaced` in `dropped_since_last`",
        "`maskwatch_frames_dropped_total`; MaskwatchOverloaded, if it lasts",
        "takes the newest frame of each camera in turn, and starves none",
        "tests/test_service.py::test_overload_starves_no_camera",
    ),
)
