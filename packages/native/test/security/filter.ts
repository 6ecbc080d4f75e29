/**
 * Runs a system call filter as the kernel would, to ask it about calls that a test had better not make. Knows the
 * instructions of classic BPF that libseccomp emits (Documentation/networking/filter.rst) and throws at any other.
 */
export interface Instruction {
  readonly code: number;
  readonly jt: number;
  readonly jf: number;
  readonly k: number;
}

export interface Call {
  readonly arch: number;
  readonly number: number;
  readonly args?: readonly bigint[];
}

export const parseFilter = (text: string): readonly Instruction[] =>
  text
    .trim()
    .split("\n")
    .map((line) => {
      const [code = 0, jt = 0, jf = 0, k = 0] = line.split(" ").map(Number);
      return { code, jt, jf, k };
    });

/** struct seccomp_data, seccomp(2). */
const dataOf = ({ arch, number, args = [] }: Call): DataView => {
  const view = new DataView(new ArrayBuffer(64));
  view.setUint32(0, number, true);
  view.setUint32(4, arch, true);
  args.forEach((value, i) => view.setBigUint64(16 + i * 8, value, true));
  return view;
};

/** The filter's answer, for example SECCOMP_RET_ALLOW 0x7fff0000. */
export const answer = (filter: readonly Instruction[], call: Call): number => {
  const data = dataOf(call);
  let accumulator = 0;
  for (let at = 0; at < filter.length; at += 1) {
    const { code, jt, jf, k } = filter[at] ?? { code: 0, jt: 0, jf: 0, k: 0 };
    const jump = (condition: boolean) => (at += condition ? jt : jf);
    switch (code) {
      case 0x20:
        accumulator = data.getUint32(k, true);
        break;
      case 0x54:
        accumulator = (accumulator & k) >>> 0;
        break;
      case 0x05:
        at += k;
        break;
      case 0x15:
        jump(accumulator === k);
        break;
      case 0x25:
        jump(accumulator > k);
        break;
      case 0x35:
        jump(accumulator >= k);
        break;
      case 0x45:
        jump((accumulator & k) !== 0);
        break;
      case 0x06:
        return k;
      default:
        throw new Error(`instruction ${at}: unknown code 0x${code.toString(16)}`);
    }
  }
  throw new Error("the filter runs off its end");
};
