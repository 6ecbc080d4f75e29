/** Who leads, said aloud: a hint that keeps followers from claiming. The log alone decides. */
import { Type, decodeJson, decoder, Subjects } from "@berth/schema";
import type { LeaderLine } from "../../ports/bus.ts";
import type { BusConnection } from "./connection.ts";
import { bytesOf, textOf } from "./json.ts";

const decode = decoder(
  Type.Object(
    {
      instance: Type.String({ maxLength: 128 }),
      epoch: Type.Integer({ minimum: 0 }),
      leaving: Type.Optional(Type.Boolean()),
    },
    { additionalProperties: false },
  ),
);

export const openLeaderLine = (bus: BusConnection): LeaderLine => ({
  announce: (announcement) => {
    if (bus.isUp()) bus.nats.publish(Subjects.leader, bytesOf(JSON.stringify(announcement)));
  },
  onAnnouncement: (handler) => {
    bus.nats.subscribe(Subjects.leader, {
      callback: (error, message) => {
        const text = error === null ? textOf(message.data) : undefined;
        const decoded = text === undefined ? undefined : decodeJson(decode, text, "the announcement");
        if (decoded?.ok === true) handler(decoded.value);
      },
    });
  },
});
