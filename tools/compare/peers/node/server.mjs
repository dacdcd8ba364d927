// A peer of the comparison: better-sse on Node's own HTTP server, with one channel and no replay.
// `node server.mjs PORT` serves GET /events and POST /publish. What is in its favour: the data goes out
// as it came instead of as JSON, and ids are counted instead of drawn at random.
import { createServer } from "node:http";
import { createChannel, createSession } from "better-sse";

const channel = createChannel();
let published = 0;

async function subscribe(request, response) {
  channel.register(await createSession(request, response, { serializer: (data) => data }));
}

function publish(request, response) {
  let body = "";
  request.setEncoding("utf8");
  request.on("data", (text) => (body += text));
  request.on("end", () => {
    channel.broadcast(body, "message", { eventId: String(published++) });
    response.writeHead(202).end();
  });
}

const routes = { "GET /events": subscribe, "POST /publish": publish };

createServer((request, response) => {
  const route = routes[`${request.method} ${request.url}`];
  if (route) route(request, response);
  else response.writeHead(404).end();
}).listen(Number(process.argv[2]), "127.0.0.1");
