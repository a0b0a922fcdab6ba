// Serves what the build left in /srv on 127.0.0.1, on the port that PORT names.
"use strict";

const fs = require("node:fs");
const http = require("node:http");
const ms = require("ms");
const mustache = require("mustache");

const read = (name) => fs.readFileSync(`/srv/${name}`, "utf8");

const pages = {
  "/": () => mustache.render("{{greeting}}A day has {{day}} milliseconds.\n", { greeting: read("greeting.txt"), day: ms("1d") }),
  "/version": () => read("build.env"),
  "/packages": () => read("packages.txt"),
  "/files": () => read("etc/EOF") + read("etc/RAW"),
};

const server = http.createServer((request, response) => {
  const page = pages[request.url];
  response.writeHead(page ? 200 : 404, { "content-type": "text/plain" });
  response.end(page ? page() : "no such page\n");
});

process.on("SIGTERM", () => server.close(() => process.exit(0)));
server.listen(Number(process.env.PORT), "127.0.0.1");
