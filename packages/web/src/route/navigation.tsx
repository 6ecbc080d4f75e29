/** The address bar as a store, and links that change it without asking the server for the page again. */
import { useSyncExternalStore, type ComponentProps, type MouseEvent } from "react";
import { hrefOf, parseRoute, type Route } from "./route.ts";

const listeners = new Set<() => void>();
const emit = (): void => {
  for (const listener of listeners) listener();
};
const subscribe = (listener: () => void): (() => void) => {
  if (listeners.size === 0) addEventListener("popstate", emit);
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) removeEventListener("popstate", emit);
  };
};

export const navigate = (href: string): void => {
  history.pushState(null, "", href);
  scrollTo(0, 0);
  emit();
};

export const usePath = (): string => useSyncExternalStore(subscribe, () => location.pathname);
export const useRoute = (): Route => parseRoute(usePath());

/** One parameter of the query. Setting it replaces the history entry: typing a filter is not a journey. */
export const useQueryParam = (name: string): readonly [string, (value: string) => void] => {
  const query = useSyncExternalStore(subscribe, () => location.search);
  const set = (value: string): void => {
    const next = new URLSearchParams(location.search);
    if (value === "") next.delete(name);
    else next.set(name, value);
    const text = next.toString();
    history.replaceState(null, "", text === "" ? location.pathname : `${location.pathname}?${text}`);
    emit();
  };
  return [new URLSearchParams(query).get(name) ?? "", set];
};

/** A click that the browser would not answer with a new tab or a download. */
const isPlain = (event: MouseEvent): boolean =>
  event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey && !event.defaultPrevented;

export const Link = ({
  to,
  query = "",
  ...rest
}: { readonly to: Route; readonly query?: string } & Omit<ComponentProps<"a">, "href" | "onClick">) => {
  const href = hrefOf(to) + query;
  return (
    <a
      {...rest}
      href={href}
      onClick={(event) => {
        if (!isPlain(event)) return;
        event.preventDefault();
        navigate(href);
      }}
    />
  );
};
