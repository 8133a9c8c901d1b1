// The worker of BullMQ that `cargo xtask bench --peers` measures.
//
// `worker.js enqueue REDIS_URL URL` makes a job of each line of its standard input. `worker.js work REDIS_URL IN_FLIGHT` sends the
// jobs until SIGTERM, with telemetry if OTEL_EXPORTER_OTLP_ENDPOINT is set.

import process from "node:process";

import { Redis } from "ioredis";

const QUEUE = "jobs";

async function enqueue(redisUrl, url) {
  const { Queue } = await import("bullmq");
  const connection = new Redis(redisUrl);
  const queue = new Queue(QUEUE, { connection, defaultJobOptions: { removeOnComplete: true } });
  let rest = "";
  // Lines that have arrived together are added together.
  for await (const chunk of process.stdin.setEncoding("utf8")) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop();
    await queue.addBulk(lines.map((body) => ({ name: "deliver", data: { url, body } })));
  }
  await queue.close();
  await connection.quit();
}

async function work(redisUrl, inFlight) {
  const telemetry = process.env.OTEL_EXPORTER_OTLP_ENDPOINT ? await (await import("./telemetry.js")).start() : undefined;
  const { Worker } = await import("bullmq");
  const { Agent, request } = await import("undici");
  const dispatcher = new Agent({ connections: inFlight });
  const connection = new Redis(redisUrl, { maxRetriesPerRequest: null });
  const worker = new Worker(
    QUEUE,
    async ({ data: { url, body } }) => {
      const response = await request(url, { method: "POST", body, dispatcher });
      await response.body.dump();
      if (response.statusCode >= 300) throw new Error(`${url}: ${response.statusCode}`);
    },
    { connection, concurrency: inFlight, telemetry: telemetry?.ofBullMQ },
  );
  worker.on("error", (error) => console.error(error));
  process.once("SIGTERM", async () => {
    await worker.close();
    await connection.quit();
    await dispatcher.close();
    await telemetry?.stop();
  });
}

const [command, redisUrl, last] = process.argv.slice(2);
if (command === "enqueue") {
  await enqueue(redisUrl, last);
} else {
  await work(redisUrl, Number(last));
}
