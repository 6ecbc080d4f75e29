/** System, light or dark. The choice is kept in this browser; public/theme.js reads it before the first paint. */
import { useState } from "react";
import "./theme.css";

const THEMES = ["system", "light", "dark"] as const;
type Theme = (typeof THEMES)[number];
const KEY = "berth.theme";

const stored = (): Theme => {
  const theme = document.documentElement.dataset["theme"];
  return theme === "light" || theme === "dark" ? theme : "system";
};

const store = (theme: Theme): void => {
  if (theme === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
  try {
    if (theme === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme);
  } catch {
    // Storage is blocked: the choice lasts as long as the page.
  }
};

const PATHS: Readonly<Record<Theme, string>> = {
  system: "M2 3.5h12v8H2zM5.5 14h5M8 11.5V14",
  light:
    "M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6M8 1.2v1.4M8 13.4v1.4M1.2 8h1.4M13.4 8h1.4M3.2 3.2l1 1M11.8 11.8l1 1M12.8 3.2l-1 1M4.2 11.8l-1 1",
  dark: "M13.4 9.6A5.8 5.8 0 0 1 6.4 2.6a5.8 5.8 0 1 0 7 7z",
};

export const ThemeChoice = () => {
  const [theme, setTheme] = useState(stored);
  return (
    <fieldset className="theme">
      <legend className="visually-hidden">Theme</legend>
      {THEMES.map((choice) => (
        <label key={choice} title={`${choice[0]?.toUpperCase()}${choice.slice(1)} theme`}>
          <input
            type="radio"
            name="theme"
            className="visually-hidden"
            checked={theme === choice}
            onChange={() => {
              store(choice);
              setTheme(choice);
            }}
          />
          <span className="visually-hidden">{choice}</span>
          <svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true" fill="none" stroke="currentColor">
            <path d={PATHS[choice]} strokeWidth="1.3" strokeLinecap="round" strokeLinejoin="round" />
          </svg>
        </label>
      ))}
    </fieldset>
  );
};
