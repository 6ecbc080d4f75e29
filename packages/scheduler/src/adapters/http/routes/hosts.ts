/** Hosts: list, look at, admit. */
import Type from "typebox";
import { EnrolledSchema, EnrolmentSchema, HostListSchema, HostViewSchema, Routes } from "@berth/schema";
import type { Control } from "../../../app/control.ts";
import { originOf } from "../auth.ts";
import { orRefuse } from "../problems.ts";
import type { Server } from "../server-type.ts";
import { HostParams, pageProperties, pageRequest, problems } from "../shapes.ts";

export const addHostRoutes = (server: Server, { api }: Control): void => {
  server.get(
    Routes.hosts,
    {
      schema: {
        summary: "List hosts",
        querystring: Type.Object({ ...pageProperties }, { additionalProperties: false }),
        response: { 200: HostListSchema, ...problems },
      },
    },
    async (request) => orRefuse(api.hosts(pageRequest(request.query))),
  );

  server.get(
    Routes.host,
    { schema: { summary: "A host", params: HostParams, response: { 200: HostViewSchema, ...problems } } },
    async (request) => orRefuse(api.host(request.params.host)),
  );

  server.post(
    Routes.hosts,
    {
      schema: {
        summary: "Admit a host by its public key",
        body: EnrolmentSchema,
        response: { 200: EnrolledSchema, ...problems },
      },
    },
    async (request) => orRefuse(await api.enrol(request.body, originOf(request))),
  );
};
