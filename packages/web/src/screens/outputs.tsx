/** The files that an allocation left behind: each is a download. */
import { useEffect, useState } from "react";
import { formatBytes, Routes, routePath, type OutputList } from "@berth/schema";
import { fetchOutputs, type Failure } from "../api/client.ts";
import { Notice, Section, useSome } from "../ui/panel.tsx";
import { Table } from "../ui/table.tsx";

type Answer = { readonly list: OutputList } | { readonly failure: Failure } | undefined;

const Files = ({ id, list }: { readonly id: string; readonly list: OutputList }) => {
  const [shown, more] = useSome(list.files);
  if (shown.length === 0) return <p className="muted">It left no file.</p>;
  return (
    <>
      <Table caption="Output files" columns={[{ title: "File" }, { title: "Size", end: true }]}>
        {shown.map((file) => (
          <tr key={file.path}>
            <th scope="row">
              <a
                href={routePath(Routes.allocationOutput, { allocation: id, "*": file.path })}
                download
                className="row-link"
              >
                <code>{file.path}</code>
              </a>
            </th>
            <td className="end nowrap">{formatBytes(file.sizeBytes)}</td>
          </tr>
        ))}
      </Table>
      {more}
      {list.next === null ? null : (
        <p className="muted">There are more files than these; the command line lists all of them.</p>
      )}
    </>
  );
};

export const Outputs = ({ id }: { readonly id: string }) => {
  const [answer, setAnswer] = useState<Answer>(undefined);
  useEffect(() => {
    const abort = new AbortController();
    void fetchOutputs(id, abort.signal).then((result) => {
      if (!abort.signal.aborted) setAnswer(result.ok ? { list: result.value } : { failure: result.error });
    });
    return () => abort.abort();
  }, [id]);
  if (answer === undefined) return null;
  return (
    <Section title="Outputs">
      {"failure" in answer ? (
        <Notice tone="muted" title={answer.failure.title}>
          {answer.failure.detail === undefined ? null : <p>{answer.failure.detail}</p>}
        </Notice>
      ) : (
        <Files id={id} list={answer.list} />
      )}
    </Section>
  );
};
