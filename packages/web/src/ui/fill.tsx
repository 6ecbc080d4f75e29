/** Used inside reserved inside allocatable: one bar that says how full, and how truthfully. */
import { formatRatio } from "../model/format.ts";
import type { Fill } from "../model/capacity.ts";
import "./fill.css";

const share = (part: number, whole: number): number => (whole <= 0 ? 0 : Math.min(1, Math.max(0, part / whole)));
const percent = (ratio: number): string => `${(ratio * 100).toFixed(3)}%`;

/** `label` begins the sentence that a screen reader says; the numbers follow in `format`. */
export const FillBar = ({
  fill,
  label,
  format,
  tall = false,
}: {
  readonly fill: Fill;
  readonly label: string;
  readonly format: (amount: number) => string;
  readonly tall?: boolean;
}) => {
  const sentence = `${label}: ${format(fill.used)} used, ${format(fill.reserved)} reserved (${formatRatio(
    share(fill.reserved, fill.allocatable),
  )}) of ${format(fill.allocatable)} allocatable`;
  return (
    <svg className={tall ? "fill fill-tall" : "fill"} role="img" aria-label={sentence}>
      <title>{sentence}</title>
      <rect className="fill-track" width="100%" height="100%" />
      <rect className="fill-reserved" width={percent(share(fill.reserved, fill.allocatable))} height="100%" />
      <rect className="fill-used" y="30%" width={percent(share(fill.used, fill.allocatable))} height="40%" />
    </svg>
  );
};

export const FillLegend = ({ system = false }: { readonly system?: boolean }) => (
  <ul className="legend" aria-label="Legend">
    <li>
      <svg width="10" height="10" aria-hidden="true">
        <rect className="fill-used" width="10" height="10" rx="2" />
      </svg>
      used
    </li>
    <li>
      <svg width="10" height="10" aria-hidden="true">
        <rect className="fill-reserved" width="10" height="10" rx="2" />
      </svg>
      reserved
    </li>
    <li>
      <svg width="10" height="10" aria-hidden="true">
        <rect className="fill-track" width="10" height="10" rx="2" />
      </svg>
      free
    </li>
    {system ? (
      <li>
        <svg width="10" height="10" aria-hidden="true">
          <rect className="fill-track" width="10" height="10" rx="2" />
          <rect fill="url(#hatch)" width="10" height="10" rx="2" />
        </svg>
        kept for the system
      </li>
    ) : null}
  </ul>
);
