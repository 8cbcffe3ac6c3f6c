// Toxiproxy's client for Node, unchanged, against an API: node client.mjs PORT FOLDER-OF-MODULES.
import { createRequire } from "node:module";
import assert from "node:assert/strict";
import net from "node:net";
import { once } from "node:events";

const [port, modules] = process.argv.slice(2);
const { Toxiproxy, ToxiproxyError } = createRequire(modules + "/")("toxiproxy-node-client");

const server = net.createServer((stream) => stream.on("error", () => {}).pipe(stream)).listen(0, "127.0.0.1");
await once(server, "listening");
const upstream = `127.0.0.1:${server.address().port}`;

const connect = async (proxy) => {
  const [host, port] = [proxy.listen.slice(0, proxy.listen.lastIndexOf(":")), proxy.listen.split(":").pop()];
  const stream = net.connect(Number(port), host);
  await once(stream, "connect");
  return stream;
};
const echo = async (stream, data = "hello") => {
  const began = performance.now();
  stream.write(data);
  let came = 0;
  while (came < data.length) came += (await once(stream, "data"))[0].length;
  return performance.now() - began;
};

const toxiproxy = new Toxiproxy(`http://127.0.0.1:${port}`);
assert.equal(await toxiproxy.getVersion(), '{"version": "2.12.0"}\n');
assert.deepEqual(await toxiproxy.getAll(), {});
assert.deepEqual(await toxiproxy.populate([]), {}, "an empty list is a list");
const proxy = await toxiproxy.createProxy({ name: "echo", listen: "127.0.0.1:0", upstream });
assert.deepEqual(proxy.toJson(), { enabled: true, listen: proxy.listen, name: "echo", upstream });
await assert.rejects(toxiproxy.createProxy({ name: "echo", listen: "127.0.0.1:0", upstream }), ToxiproxyError);
await assert.rejects(toxiproxy.get("other"), /status code 404/);
assert.equal((await toxiproxy.get("echo")).listen, proxy.listen);

const stream = await connect(proxy);
assert.ok((await echo(stream)) < 200);
const attributes = { latency: 250, jitter: 0 };
const toxic = await proxy.addToxic({ type: "latency", name: "late", stream: "upstream", toxicity: 1, attributes });
assert.deepEqual(toxic.toJson(), { attributes, name: "late", stream: "upstream", toxicity: 1, type: "latency" });
assert.deepEqual((await proxy.getToxic("late")).toJson(), toxic.toJson());
let took = await echo(stream);
assert.ok(took >= 249 && took < 1000, `${took} ms`);
const updated = await toxic.update({ ...toxic.toJson(), attributes: { latency: 50 } });
assert.deepEqual(updated.attributes, { latency: 50, jitter: 0 });
took = await echo(stream);
assert.ok(took >= 49 && took < 249, `${took} ms`);
await assert.rejects(proxy.addToxic({ type: "nonsense", attributes: {} }), /status code 400/);
await toxic.remove();
await assert.rejects(toxic.remove(), /status code 404/);
assert.ok((await echo(stream)) < 50);

const ended = once(stream, "end");
assert.equal((await proxy.update({ enabled: false, listen: proxy.listen, upstream })).enabled, false);
await ended;
await assert.rejects(connect(proxy), /ECONNREFUSED/);
await proxy.addToxic({ type: "timeout", attributes: { timeout: 0 } });
await toxiproxy.reset();
const again = await connect(proxy);
assert.ok((await echo(again)) < 200);
again.destroy();
const all = await toxiproxy.populate([
  { name: "echo", listen: proxy.listen, upstream },
  { name: "second", listen: "127.0.0.1:0", upstream },
]);
assert.deepEqual(Object.keys(all), ["echo", "second"]);
assert.deepEqual(Object.keys(await toxiproxy.getAll()), ["echo", "second"]);
const second = await connect(all.second);
await echo(second, "x".repeat(1000000));
second.destroy();
for (const one of Object.values(all)) await one.remove();
assert.deepEqual(await toxiproxy.getAll(), {});
console.log("done");
process.exit(0);
