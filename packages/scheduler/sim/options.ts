/** What there is in a simulated world. */
export interface SimOptions {
  readonly seed: number;
  readonly hosts: number;
  /** Whether jobs have priorities, budgets, gangs, run limits and projects of their own. */
  readonly policy: boolean;
  /** Whether projects get quotas and weights, and lose them. */
  readonly quotas?: boolean;
  /** Whether hosts have devices, and jobs ask for them. */
  readonly devices?: boolean;
  /** Whether some jobs are daemons or ask for ports, and hosts have zones and ranges that change. */
  readonly daemons?: boolean;
  /** Whether projects have secrets that jobs refer to, and hosts that know none of them. */
  readonly secrets?: boolean;
  /** Whether jobs have rules of placement, and hosts zones that change. */
  readonly rules?: boolean;
}
