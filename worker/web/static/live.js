// Follows the worker: one stream while the page is in view, none while it is not. When the stream
// breaks it comes back with growing pauses; where there is no room for one more, it asks slowly.
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 30_000;
const SILENCE_MS = 8_000;
const POLL_MS = 10_000;
const POLLS_BEFORE_NEXT_TRY = 3;

const LIVE_WINDOWS = 3;
const ROLL_CALL_MS = 250;

const WHY = { AbortError: "it fell silent", TypeError: "it cannot be reached" };

const jitter = (ms) => ms * (0.5 + Math.random());

/**
 * Calls back with every state and hour; `onLink` hears how the connection does:
 * kind is "live", "slow", "lost" or "refused", and text a sentence for people.
 */
export function follow({ onState, onHours, onLink }) {
  let wait = FIRST_WAIT_MS;
  let attempt = null;
  let timer = 0;

  const windows = new Windows();
  const told = { state: onState, hours: onHours ?? (() => {}) };

  function later(ms, next) {
    clearTimeout(timer);
    timer = setTimeout(next, ms);
  }

  async function stream() {
    clearTimeout(timer);
    if (document.hidden) return;
    const mine = new AbortController();
    attempt = mine;
    if ((await windows.othersLive()) >= LIVE_WINDOWS) {
      if (attempt === mine) slowly(`${LIVE_WINDOWS} other windows of this browser follow live.`);
      return;
    }
    if (attempt !== mine) return;
    const watchdog = quietAlarm(() => mine.abort());
    windows.live = true;
    try {
      const answer = await fetch("/api/live", { signal: mine.signal });
      if (answer.status === 401) return refused();
      if (answer.status === 503) return slowly((await answer.text()).trim());
      if (!answer.ok) throw new Error(`it answered ${answer.status}`);
      for await (const [kind, data] of messages(answer.body)) {
        watchdog.calm();
        wait = FIRST_WAIT_MS;
        onLink({ kind: "live", text: "Live" });
        told[kind]?.(JSON.parse(data));
      }
      throw new Error("it ended the stream");
    } catch (error) {
      if (attempt === mine) lost(error);
    } finally {
      windows.live = false;
      watchdog.stop();
    }
  }

  function lost(error) {
    const pause = jitter(wait);
    wait = Math.min(wait * 2, LONGEST_WAIT_MS);
    const why = WHY[error.name] ?? error.message;
    onLink({
      kind: "lost",
      text: `No answer from the worker (${why}). Next try in ${Math.ceil(pause / 1000)} s.`,
    });
    later(pause, stream);
  }

  function refused() {
    onLink({ kind: "refused", text: "The worker asks for its token anew: reload this page." });
    later(jitter(LONGEST_WAIT_MS), stream);
  }

  function slowly(reason) {
    onLink({ kind: "slow", text: `${reason} Until then this page asks every few seconds.` });
    poll(POLLS_BEFORE_NEXT_TRY);
  }

  async function poll(left) {
    if (document.hidden) return;
    if (left === 0) return stream();
    try {
      for (const [kind, path] of [["state", "/api/state"], ["hours", "/api/hours"]]) {
        const answer = await fetch(path);
        if (answer.ok) told[kind](await answer.json());
      }
      later(jitter(POLL_MS), () => poll(left - 1));
    } catch (error) {
      lost(error);
    }
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      clearTimeout(timer);
      const over = attempt;
      attempt = null;
      over?.abort();
    } else {
      wait = FIRST_WAIT_MS;
      stream();
    }
  });
  stream();
}

/**
 * The windows of this browser that show this worker. A browser opens six connections to one address,
 * and a stream takes one of them for as long as it lasts: were all six streams, nothing would load.
 */
class Windows {
  #channel = new BroadcastChannel("maskwatch-live");
  #answers = 0;
  live = false;

  constructor() {
    this.#channel.onmessage = ({ data }) => {
      if (data === "who") {
        if (this.live) this.#channel.postMessage("I");
      } else this.#answers += 1;
    };
  }

  /** How many others hold a stream. */
  async othersLive() {
    this.#answers = 0;
    this.#channel.postMessage("who");
    await new Promise((done) => setTimeout(done, ROLL_CALL_MS));
    return this.#answers;
  }
}

/** Calls `alarm` when `calm` was not called for too long. */
function quietAlarm(alarm) {
  let timer = setTimeout(alarm, SILENCE_MS);
  return {
    calm() {
      clearTimeout(timer);
      timer = setTimeout(alarm, SILENCE_MS);
    },
    stop: () => clearTimeout(timer),
  };
}

/** The [event, data] pairs of a stream of server-sent events, as this worker writes them. */
async function* messages(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const [, kind, data] = /^event: (.*)\ndata: (.*)$/s.exec(block) ?? [];
      if (kind) yield [kind, data];
    }
  }
}
