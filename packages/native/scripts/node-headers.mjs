/** Where the headers of the running Node are, for tools that do not go through node-gyp. */
import { existsSync, realpathSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";

/** The prefix of this Node when its headers came with it: node-gyp would download them otherwise. */
export const nodePrefix = () => {
  const prefix = dirname(dirname(realpathSync(process.execPath)));
  return existsSync(join(prefix, "include", "node", "node_api.h")) ? prefix : undefined;
};

/** The directory of node_api.h; after a build of the addon it exists in one of the two places. */
export const nodeHeaders = () => {
  const prefix = nodePrefix() ?? join(homedir(), ".cache", "node-gyp", process.versions.node);
  const directory = join(prefix, "include", "node");
  if (!existsSync(join(directory, "node_api.h"))) throw new Error(`no Node headers in ${directory}: build first`);
  return directory;
};
