/**
 * Validation with the same decoders as everywhere else, so that an unknown key or a wrong type reads the same over HTTP
 * and NATS. Nothing is dropped or defaulted silently; only the strings of paths and queries become numbers and booleans.
 */
import type { FastifySchemaCompiler } from "fastify";
import type { TSchema } from "typebox";
import { decoder } from "@berth/schema";
import { InvalidPart } from "./problems.ts";

const convert = (value: unknown, schema: TSchema): unknown => {
  const type = (schema as { type?: unknown }).type;
  if (typeof value !== "string") return value;
  if (type === "integer") return /^-?\d{1,15}$/.test(value) ? Number(value) : value;
  if (type === "boolean") return value === "true" || value === "" ? true : value === "false" ? false : value;
  return value;
};

const fromText = (input: unknown, schema: TSchema): unknown => {
  const properties = (schema as { properties?: Record<string, TSchema> }).properties ?? {};
  const entries = Object.entries((input ?? {}) as Record<string, unknown>);
  return Object.fromEntries(
    entries.map(([key, value]) => {
      const property = Object.hasOwn(properties, key) ? properties[key] : undefined;
      return [key, property === undefined ? value : convert(value, property)];
    }),
  );
};

export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const decode = decoder(schema);
  const isText = httpPart === "querystring" || httpPart === "params";
  return (input: unknown) => {
    const decoded = decode(isText ? fromText(input, schema) : input);
    return decoded.ok ? { value: decoded.value } : { error: new InvalidPart(httpPart ?? "body", decoded.error) };
  };
};

/** For bodies that another parser checks completely: the schema serves the description of the API only. */
export const describedOnly: FastifySchemaCompiler<TSchema> = (route) =>
  route.httpPart === "body" ? (input: unknown) => ({ value: input }) : validatorCompiler(route);
