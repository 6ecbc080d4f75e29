/** Archives over HTTP: out as one stream, in as numbered pieces of at most MAX_IMAGE_DATA_BYTES. */
import { Readable } from "node:stream";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { Type } from "@berth/schema";

/** What an address answers that gives an archive. */
export const archiveResponse = (description: string) => ({
  description,
  content: { "application/x-tar": { schema: Type.Unsafe<Readable>(Type.String()) } },
});

/** The connection ends when `pieces` break off: whoever reads must not take half an archive for a whole one. */
export const answerArchive = (request: FastifyRequest, reply: FastifyReply, pieces: AsyncIterable<Buffer>) => {
  const readable = Readable.from(pieces, { objectMode: false, highWaterMark: 1 });
  readable.once("error", (error) => request.log.warn({ err: error, url: request.url }, "archive_broken"));
  return reply.type("application/x-tar").header("cache-control", "no-store").send(readable);
};

/** Within this scope, bodies may be plain bytes. */
export const acceptPieces = (scope: Pick<FastifyInstance, "addContentTypeParser">): void => {
  scope.addContentTypeParser("application/octet-stream", { parseAs: "buffer" }, (_request, body, done) => {
    done(null, body);
  });
};

/** Of the query of a piece. */
export const pieceProperties = {
  offset: Type.Integer({ minimum: 0 }),
  last: Type.Optional(Type.Boolean()),
};

export const pieceOf = ({
  body,
  query: { last = false, offset },
}: {
  readonly body: unknown;
  readonly query: { readonly offset: number; readonly last?: boolean };
}): { readonly offset: number; readonly data: Buffer; readonly last: boolean } => ({
  ...{ offset, last },
  data: Buffer.isBuffer(body) ? body : Buffer.alloc(0),
});
