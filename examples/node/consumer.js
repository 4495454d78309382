// Print violations and blind cameras as they come: node consumer.js [redis://127.0.0.1:6379/0]
import os from "node:os";
import Redis from "ioredis";

const STREAM = "maskwatch:alerts";
const GROUP = "example-node";
const NAME = os.hostname(); // the same after a restart: what was left undone comes again
const IDLE_MS = 60_000; // what another member held for longer is taken over

const redis = new Redis(process.argv[2] ?? "redis://127.0.0.1:6379/0", {
  maxRetriesPerRequest: null, // wait for Redis, however long it is away
});
redis.on("error", (error) => console.error(`Redis: ${error.code ?? error.message}`));

const highest = new Map(); // seq by run and camera: what was published twice is done once

function handle(event) {
  if (event.schema === "maskwatch.violation/1" && event.phase === "start")
    console.log(`${event.occurred_at} ${event.camera_id}: ${event.kind}`);
  if (event.schema === "maskwatch.camera/1" && event.state === "down")
    console.log(`${event.occurred_at} ${event.camera_id} is blind: ${event.reason}`);
  if (event.schema === "maskwatch.loss/1")
    console.error(`${event.camera_id}: ${event.count} events of ${event.stream} were lost`);
}

function take(id, fields, again) {
  if (!fields) return console.error(`entry ${id} was trimmed before it was done with`);
  let event;
  try {
    event = JSON.parse(fields[fields.indexOf("event") + 1]);
  } catch {
    return console.error(`entry ${id} is no event`);
  }
  const place = `${event.run_id} ${event.camera_id}`;
  const last = highest.get(place) ?? -1;
  if (!again && event.seq > last + 1 && last >= 0) console.error(`${place}: a hole after ${last}`);
  if (again || event.seq > last) handle(event);
  highest.set(place, Math.max(event.seq, last));
}

async function work(entries, again = false) {
  for (const [id, fields] of entries) {
    take(id, fields, again);
    await redis.xack(STREAM, GROUP, id);
  }
}

async function join() {
  await redis.xgroup("CREATE", STREAM, GROUP, "$", "MKSTREAM").catch((error) => {
    if (!error.message.includes("BUSYGROUP")) throw error;
  });
}

/** What was trimmed from the stream before the group read it can only be counted. */
async function unread() {
  const pairs = (list) =>
    Object.fromEntries(list.map((_, n) => [list[n], list[n + 1]]).filter((_, n) => n % 2 === 0));
  const stream = pairs(await redis.xinfo("STREAM", STREAM));
  const groups = (await redis.xinfo("GROUPS", STREAM)).map(pairs);
  const group = groups.find(({ name }) => name === GROUP);
  const trimmed = stream["entries-added"] - stream.length - group["entries-read"];
  if (group["entries-read"] !== null && trimmed > 0)
    console.error(`${trimmed} entries were trimmed before they were read`);
}

async function read(from) {
  const read = await redis.xreadgroup(
    "GROUP", GROUP, NAME, "COUNT", 100, "BLOCK", 1000, "STREAMS", STREAM, from,
  );
  return read ? read[0][1] : [];
}

let stopped = false;
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => (stopped = true));

await join();
await unread();
for (let undone; (undone = await read("0")).length; ) await work(undone, true);
while (!stopped) {
  const [, left, gone = []] = await redis.xautoclaim(
    STREAM, GROUP, NAME, IDLE_MS, "0", "COUNT", 100,
  );
  for (const id of gone) take(id);
  await work(left, true);
  await work(await read(">"));
}
await redis.quit();
