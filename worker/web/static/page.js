// Polls the worker's state while the page is in view, and fills one tile a camera.
const POLL_MS = 1000;
const LABELS = ["without_mask", "with_mask", "mask_worn_incorrectly", "unknown"];
const tiles = new Map();
const list = document.getElementById("cameras");
const worker = document.getElementById("worker");

function tile(id) {
  if (!tiles.has(id)) {
    const article = document.getElementById("camera").content.cloneNode(true).firstElementChild;
    article.querySelector("h2").textContent = id;
    article.querySelector("img").alt = `what camera ${id} sees, pixelated`;
    list.append(article);
    tiles.set(id, article);
  }
  return tiles.get(id);
}

function show(camera) {
  const article = tile(camera.camera_id);
  article.className = camera.state;
  const since = new Date(camera.since * 1000).toLocaleTimeString();
  const why = camera.reason ? ` (${camera.reason})` : "";
  article.querySelector(".state").textContent = `${camera.state}${why} since ${since}`;
  for (const label of LABELS) {
    article.querySelector(`.${label} dd`).textContent = camera.counts[label] ?? 0;
  }
  article.querySelector(".rate").textContent =
    `${camera.analysed} frames analysed, ${camera.dropped} dropped · ${camera.address}`;
  const image = article.querySelector("img");
  if (camera.looked_at && image.dataset.at !== String(camera.looked_at)) {
    image.dataset.at = camera.looked_at;
    image.src = `/preview/${camera.camera_id}.jpg?at=${camera.looked_at}`;
  }
}

async function poll() {
  if (!document.hidden) {
    try {
      const answer = await fetch("/api/state");
      if (!answer.ok) throw new Error(`the worker answered ${answer.status}`);
      const state = await answer.json();
      const redis = state.redis_up ? "Redis takes events" : "Redis is away";
      worker.textContent = `${state.worker_id} · ${state.device} · ${redis}`;
      for (const [id, article] of tiles) {
        if (!state.cameras.some((camera) => camera.camera_id === id)) {
          article.remove();
          tiles.delete(id);
        }
      }
      state.cameras.forEach(show);
    } catch (error) {
      worker.textContent = `no answer from the worker: ${error.message}`;
      for (const article of tiles.values()) article.className = "down";
    }
  }
  setTimeout(poll, POLL_MS);
}

poll();
