/** JSON bodies: UTF-8 only, an empty one is no body, and what cannot be read is answered with line and column. */
import type { FastifyRequest } from "fastify";
import { problem, Routes } from "@berth/schema";
import { Refusal } from "./problems.ts";
import type { Server } from "./server-type.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true });

const placeOf = (text: string, message: string): string => {
  const position = /at position (\d+)/.exec(message)?.[1];
  if (position === undefined) return "";
  const before = text.slice(0, Number(position)).split("\n");
  return ` (line ${before.length}, column ${(before.at(-1) ?? "").length + 1})`;
};

const malformed = (request: FastifyRequest, detail: string): Refusal =>
  new Refusal(
    problem(request.routeOptions.url === Routes.jobs ? "job.document_malformed" : "request.malformed", detail),
  );

export const acceptJson = (server: Server): void => {
  server.removeAllContentTypeParsers();
  server.addContentTypeParser("application/json", { parseAs: "buffer" }, (request, body, done) => {
    if (body.length === 0) return done(null, undefined);
    let text: string;
    try {
      // The decoder drops a byte order mark.
      text = utf8.decode(body as Buffer);
    } catch {
      return done(malformed(request, "the body is not UTF-8"));
    }
    try {
      return done(null, JSON.parse(text));
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      return done(malformed(request, `the body is not JSON: ${message.slice(0, 256)}${placeOf(text, message)}`));
    }
  });
};
