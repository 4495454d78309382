"""No secret of a running worker stands anywhere that somebody may look."""

from __future__ import annotations

import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from service.redis_server import client_of
from service.worker_process import WorkerProcess, faces_clip, free_port, wait_for, worker

from worker.output.embedded import RedisServer, valkey_binary

pytestmark = pytest.mark.timeout(180)

REDIS, CAMERA, ADDRESS, TOKEN = "redis-s3cret", "camera-s3cret", "address-s3cret", "token-s3cret"
PAGES = ("/metrics", "/readyz", "/healthz", "/", "/api/state", "/api/hours", "/api/camera/refused")


def asked(running: WorkerProcess, path: str, token: str | None) -> str:
    """The answer with its headers, whether it is a refusal or not."""
    request = urllib.request.Request(f"http://127.0.0.1:{running.port}{path}")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return str(answer.headers) + str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return str(error.headers) + error.read().decode()


def configuration(clip: Path, server: RedisServer, folder: Path, *, fps: int = 4) -> str:
    """Cameras that work, refuse and do not exist, with secrets in every place they may have."""
    (folder / "redis").write_text(REDIS)
    return (
        f'[cameras.good]\nurl = "{clip}"\nrealtime = true\nloop = true\nanalyse_fps = {fps}\n'
        f'[cameras.refused]\nurl = "rtsp://127.0.0.1:{free_port()}/live?token={ADDRESS}"\n'
        f'username = "viewer"\npassword = "{CAMERA}"\n'
        f'[cameras.careless]\nurl = "http://u:{ADDRESS}@127.0.0.1:{free_port()}/x"\n'
        f'[redis]\nurl = "{server.url}"\npassword_file = "{folder}/redis"\n'
    )


def test_secrets_stand_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Log, metrics, pages, events, process title, environment of faults: nowhere."""
    clip = faces_clip(tmp_path / "faces.mp4", seconds=2)
    server = RedisServer(valkey_binary(), password=REDIS)
    server.start()
    text = configuration(clip, server, tmp_path)
    monkeypatch.setenv("MASKWATCH_HTTP__TOKEN", TOKEN)
    with worker(text, tmp_path) as running, client_of(server, REDIS) as client:
        file = tmp_path / "maskwatch.toml"
        running.started()
        wait_for(lambda: client.xlen("maskwatch:frames:good") >= 3)
        wait_for(lambda: running.metric("maskwatch_camera_blind", camera="careless") == 1)
        file.write_text(file.read_text().replace("fps = 4", 'fps = "x"'))
        running.process.send_signal(signal.SIGHUP)
        wait_for(lambda: running.metric("maskwatch_config_last_reload_successful") == 0)
        client.config_set("requirepass", "another")
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        wait_for(lambda: running.metric("maskwatch_redis_up") == 0)
        wait_for(lambda: "does not accept the user or the password" in running.log.read_text())
        client.config_set("requirepass", REDIS)
        proc = Path(f"/proc/{running.process.pid}")
        written = [asked(running, path, token) for path in PAGES for token in (None, TOKEN)]
        assert "careless" in written[9]
        written += [(proc / name).read_text(errors="replace") for name in ("cmdline", "comm")]
        core = next(x for x in (proc / "limits").read_text().splitlines() if "core file" in x)
        assert running.terminate() == 0
        for key in client.keys("*"):
            kind = client.type(key)
            written.append(str(client.xrange(key) if kind == "stream" else client.dump(key) or ""))
        written.append(running.log.read_text())
    server.stop()
    everything = "\n".join(written)
    for secret in (REDIS, CAMERA, ADDRESS, TOKEN):
        assert secret not in everything
    assert core.split()[4:6] == ["0", "0"]
    assert "Traceback" not in everything
