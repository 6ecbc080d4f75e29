/** The HTTP server with types taken from the schemas of its routes, and what hooks leave on a request. */
import type { AccessProjects, Role } from "@berth/schema";
import type { AccessRecord } from "../../core/index.ts";
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
  /** Who the log names. */
  readonly name: string;
  readonly via: "token" | "session";
  readonly role: Role;
  readonly projects: AccessProjects;
  /** The token that it is known by; null: that of the data directory. */
  readonly access: AccessRecord | null;
}

declare module "fastify" {
  interface FastifyRequest {
    principal: Principal | null;
  }
}
