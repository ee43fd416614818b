// The floor in Node: socket.io that listens to PostgreSQL and sends each change to a room of websockets. Unlike the
// product it does not read a calendar: the notification contains the whole message.
const http = require("node:http");
const { Server } = require("socket.io");
const { Client } = require("pg");

const server = http.createServer((_, response) => response.end("yes")); // alive
const io = new Server(server, {
  path: "/_nicegui_ws/socket.io",
  transports: ["websocket"],
  perMessageDeflate: false,
  serveClient: false,
  pingInterval: 4000,
  pingTimeout: 2000,
});
io.on("connection", (socket) => socket.join("slots"));

async function main() {
  const feed = new Client({ connectionString: process.env.EXPERT_BOOKING_DATABASE_URL });
  feed.on("notification", (notification) => io.to("slots").emit("slots", JSON.parse(notification.payload)));
  await feed.connect();
  await feed.query("LISTEN slots");
  server.listen(Number(process.env.EXPERT_BOOKING_PORT), "127.0.0.1");
}

process.on("SIGTERM", () => process.exit(0));
main();
