/** Where a cluster on one machine is, unless someone says otherwise. */
export const DEFAULT_API_PORT = 8640;
export const DEFAULT_NATS_PORT = 4640;
/** For other machines. */
export const DEFAULT_LISTEN_PORT = 8641;
export const LOOPBACK = "127.0.0.1";
/** More agents on one machine would only get crumbs of it, and their bridge is a /24. */
export const MAX_HOSTS = 64;
