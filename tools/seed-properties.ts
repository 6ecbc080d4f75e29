/** Before every file of tests: its properties begin where `property-seed.ts` says. */
import { configureGlobal, readConfigureGlobal } from "fast-check";
import { propertySeed } from "./property-seed.ts";

configureGlobal({ ...readConfigureGlobal(), seed: propertySeed() });
