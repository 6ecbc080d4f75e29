/** Ids of tokens: ten symbols, five random bits each, none of which is mistaken for another. */
import { randomBytes } from "node:crypto";

const SYMBOLS = "abcdefghijkmnpqrstuvwxyz23456789";

export const randomLabel = (): string => Array.from(randomBytes(10), (byte) => SYMBOLS[byte % 32]).join("");
