/** Questions about hosts that are lost, emptied or added. They change nothing, so any instance answers from its own fold. */
import { HostLossesSchema, Routes, WhatIfRequestSchema, WhatIfViewSchema } from "@berth/schema";
import type { Control } from "../../../app/control.ts";
import { orRefuse } from "../problems.ts";
import type { Server } from "../server-type.ts";
import { problems } from "../shapes.ts";

export const addWhatIfRoutes = (server: Server, { api }: Control): void => {
  server.post(
    Routes.whatIf,
    {
      schema: {
        summary: "What would happen if hosts were lost, emptied or added, or if there were more to run",
        body: WhatIfRequestSchema,
        response: { 200: WhatIfViewSchema, ...problems },
      },
    },
    async (request) => orRefuse(await api.whatIf(request.body)),
  );

  server.get(
    Routes.hostLosses,
    {
      schema: {
        summary: "Which host could be lost now, and what would not fit elsewhere",
        response: { 200: HostLossesSchema, ...problems },
      },
    },
    async () => orRefuse(await api.hostLosses()),
  );
};
