/**
 * Who may: the bearer of the admin token, of an access token, or of a session that a one-time ticket was turned into.
 * Sessions are signed cookies, so they survive a restart of the scheduler and cost no memory; a new admin token ends them
 * all. A session is as good as the token that its ticket was made with: it names it, and whoever reads it looks it up.
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { LRUCache } from "lru-cache";

/** The id of an access token; null is the admin token. */
export type Owner = string | null;

export interface Sessions {
  readonly cookieName: string;
  readonly isAdminToken: (token: string) => boolean;
  readonly createTicket: (owner: Owner) => { readonly ticket: string; readonly expiresInMs: number };
  /** Whose it was, once per ticket. */
  readonly redeemTicket: (ticket: string) => { readonly owner: Owner } | undefined;
  readonly createSession: (owner: Owner, nowMs: number) => { readonly value: string; readonly maxAgeSeconds: number };
  readonly sessionOf: (value: string, nowMs: number) => { readonly owner: Owner } | undefined;
}

const TICKET_MS = 10 * 60_000;
const MAX_TICKETS = 1_000;
const SESSION_MS = 12 * 3_600_000;
/** No id of an access token is as short. */
const ADMIN = "admin";

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
/** Digests have one length, whatever the texts; their comparison tells nothing by its duration. */
const sameText = (left: string, right: string): boolean => timingSafeEqual(digest(left), digest(right));

export const createSessions = (adminToken: string): Sessions => {
  const tickets = new LRUCache<string, { readonly owner: Owner }>({ max: MAX_TICKETS, ttl: TICKET_MS });
  const key = createHmac("sha256", adminToken).update("berth session key").digest();
  const macOf = (text: string): string => createHmac("sha256", key).update(text).digest("base64url");
  return {
    // Cookies know no ports: two clusters on one machine must not overwrite each other's.
    cookieName: `berth_session_${digest(macOf("name")).toString("hex").slice(0, 8)}`,
    isAdminToken: (token) => sameText(token, adminToken),
    createTicket: (owner) => {
      const ticket = randomBytes(24).toString("base64url");
      tickets.set(ticket, { owner });
      return { ticket, expiresInMs: TICKET_MS };
    },
    redeemTicket: (ticket) => {
      const found = tickets.get(ticket);
      tickets.delete(ticket);
      return found;
    },
    createSession: (owner, nowMs) => {
      const text = `${nowMs + SESSION_MS}.${owner ?? ADMIN}.${randomBytes(12).toString("base64url")}`;
      return { value: `${text}.${macOf(text)}`, maxAgeSeconds: SESSION_MS / 1_000 };
    },
    sessionOf: (value, nowMs) => {
      const at = value.lastIndexOf(".");
      if (at < 0 || value.length > 256) return undefined;
      const text = value.slice(0, at);
      const [untilMs, owner, ...rest] = text.split(".");
      if (!sameText(value.slice(at + 1), macOf(text)) || owner === undefined || rest.length !== 1) return undefined;
      return Number(untilMs) > nowMs ? { owner: owner === ADMIN ? null : owner } : undefined;
    },
  };
};
