/** The plan of a rebalancing. It changes nothing, so any instance answers from its own fold. */
import { RebalancePlanSchema, RebalanceRequestSchema, Routes } from "@berth/schema";
import type { Control } from "../../../app/control.ts";
import { orRefuse } from "../problems.ts";
import type { Server } from "../server-type.ts";
import { problems } from "../shapes.ts";

export const addRebalanceRoutes = (server: Server, { api }: Control): void => {
  server.post(
    Routes.rebalancePlan,
    {
      schema: {
        summary: "Plan moves that empty hosts, or relieve those that are too full",
        body: RebalanceRequestSchema,
        response: { 200: RebalancePlanSchema, ...problems },
      },
    },
    async (request) => orRefuse(await api.rebalancePlan(request.body)),
  );
};
