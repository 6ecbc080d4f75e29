/**
 * Which images a host has, told by its agent as they change, so that the scheduler knows where a task could start at once
 * and how much the others would have to fetch. Never stored: what is not known makes no difference to what can be placed.
 */
import Type, { type Static } from "#typebox";
import { SessionSchema } from "./agent.ts";
import { IMAGE_SOURCES, ImageNameSchema } from "./image.ts";

const strict = { additionalProperties: false } as const;
const whole = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const digest = Type.String({ pattern: "^sha256:[0-9a-f]{64}$" });

/** Of one host, those used last. */
export const MAX_HELD_IMAGES = 256;
/** Of one message; a longer change is told in several. */
export const MAX_HELD_TOLD = 32;

/** All of its layers are unpacked there. `bytes`: of a layer's archive, what another host would fetch. */
export const HeldImageSchema = Type.Object(
  {
    name: ImageNameSchema,
    manifest: digest,
    source: Type.Enum([...IMAGE_SOURCES]),
    layers: Type.Array(Type.Object({ diffId: digest, bytes: whole }, strict), { maxItems: 64 }),
  },
  strict,
);
export type HeldImage = Static<typeof HeldImageSchema>;

/** Bytes of archives a second, from the first byte that is asked for to the last one that is unpacked; null: not measured yet. */
export const FetchRatesSchema = Type.Object(
  { registry: Type.Union([whole, Type.Null()]), cluster: Type.Union([whole, Type.Null()]) },
  strict,
);
export type FetchRates = Static<typeof FetchRatesSchema>;

/** `api.<host>.held`: what has changed since the host told `since`; null: since it told nothing, whatever it told before. */
export const HeldSchema = Type.Object(
  {
    session: SessionSchema,
    since: Type.Union([whole, Type.Null()]),
    revision: whole,
    images: Type.Array(HeldImageSchema, { maxItems: MAX_HELD_TOLD }),
    gone: Type.Array(ImageNameSchema, { maxItems: MAX_HELD_IMAGES }),
    rates: FetchRatesSchema,
  },
  strict,
);
export type Held = Static<typeof HeldSchema>;

/** Up to which revision the scheduler knows it; null: it knows nothing, and wants to be told all. */
export const HeldKnownSchema = Type.Object({ revision: Type.Union([whole, Type.Null()]) }, strict);
export type HeldKnown = Static<typeof HeldKnownSchema>;
