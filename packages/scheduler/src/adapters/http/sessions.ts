/**
 * Who may: the bearer of the admin token, or of a session that a one-time ticket was turned into. Sessions are signed
 * cookies, so they survive a restart of the scheduler and cost no memory; a new admin token ends them all.
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { LRUCache } from "lru-cache";

export interface Sessions {
  readonly cookieName: string;
  readonly isAdminToken: (token: string) => boolean;
  readonly createTicket: () => { readonly ticket: string; readonly expiresInMs: number };
  /** True once per ticket. */
  readonly redeemTicket: (ticket: string) => boolean;
  readonly createSession: (nowMs: number) => { readonly value: string; readonly maxAgeSeconds: number };
  readonly isSession: (value: string, nowMs: number) => boolean;
}

const TICKET_MS = 10 * 60_000;
const MAX_TICKETS = 1_000;
const SESSION_MS = 12 * 3_600_000;

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
/** Digests have one length, whatever the texts; their comparison tells nothing by its duration. */
const sameText = (left: string, right: string): boolean => timingSafeEqual(digest(left), digest(right));

export const createSessions = (adminToken: string): Sessions => {
  const tickets = new LRUCache<string, true>({ max: MAX_TICKETS, ttl: TICKET_MS });
  const key = createHmac("sha256", adminToken).update("berth session key").digest();
  const macOf = (text: string): string => createHmac("sha256", key).update(text).digest("base64url");
  return {
    // Cookies know no ports: two clusters on one machine must not overwrite each other's.
    cookieName: `berth_session_${digest(macOf("name")).toString("hex").slice(0, 8)}`,
    isAdminToken: (token) => sameText(token, adminToken),
    createTicket: () => {
      const ticket = randomBytes(24).toString("base64url");
      tickets.set(ticket, true);
      return { ticket, expiresInMs: TICKET_MS };
    },
    redeemTicket: (ticket) => tickets.get(ticket) === true && tickets.delete(ticket),
    createSession: (nowMs) => {
      const text = `${nowMs + SESSION_MS}.${randomBytes(12).toString("base64url")}`;
      return { value: `${text}.${macOf(text)}`, maxAgeSeconds: SESSION_MS / 1_000 };
    },
    isSession: (value, nowMs) => {
      const at = value.lastIndexOf(".");
      if (at < 0 || value.length > 256) return false;
      const text = value.slice(0, at);
      return sameText(value.slice(at + 1), macOf(text)) && Number(text.split(".")[0]) > nowMs;
    },
  };
};
