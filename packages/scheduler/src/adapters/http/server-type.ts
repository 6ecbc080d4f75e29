/** The HTTP server with types taken from the schemas of its routes, and what hooks leave on a request. */
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type {
  FastifyBaseLogger,
  FastifyInstance,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from "fastify";

export type Server = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

export interface Principal {
  /** Who the audit trail names. */
  readonly name: string;
  readonly via: "token" | "session";
}

declare module "fastify" {
  interface FastifyRequest {
    principal: Principal | null;
  }
}
