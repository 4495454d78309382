// What stands around every page: the worker's line, the connection, trouble of the worker itself.
import { follow } from "/static/live.js";
import { plural, write } from "/static/words.js";

/** Follows the worker and keeps the frame of the page; the page itself gets state and hours. */
export function followInFrame({ onState, onHours }) {
  const link = document.getElementById("link");
  for (const anchor of document.querySelectorAll("nav a")) {
    if (anchor.pathname === location.pathname) anchor.setAttribute("aria-current", "page");
  }
  let lostSince = null;
  follow({
    onState(state) {
      showWorker(state);
      onState(state);
    },
    onHours,
    onLink({ kind, text }) {
      if (kind === "live" || kind === "slow") lostSince = null;
      else lostSince ??= new Date();
      const since = lostSince ? ` What you see is from ${lostSince.toLocaleTimeString()} or before.` : "";
      document.body.classList.toggle("stale", lostSince !== null);
      link.dataset.link = kind;
      write(link, text + since);
    },
  });
}

function showWorker(state) {
  const redis = state.redis_up ? "Redis takes events" : "Redis is away";
  write(document.getElementById("worker"), `${state.worker_id} · ${state.device} · ${redis}`);
  write(
    document.getElementById("privacy"),
    state.faces === "pixelated" ? "Pictures are pixelated." : "Pictures are shown clear (http.faces).",
  );
  const trouble = document.getElementById("trouble");
  const text = troubles(state).join(" ");
  write(trouble, text);
  trouble.hidden = !text;
}

function troubles(state) {
  const found = [];
  if (!state.alive) found.push("The worker is stuck: its main loop does not turn.");
  if (state.failed.length) found.push(`The worker is ending: ${state.failed.join(", ")} died.`);
  if (!state.redis_up) {
    found.push(`Redis is away: ${plural(state.waiting, "event waits", "events wait")} for it.`);
  }
  return found;
}
