// Runs before the first paint, so that a chosen theme never flashes the other one. External, because the
// content security policy forbids inline scripts. The same key is written by src/ui/theme.tsx.
try {
  const theme = localStorage.getItem("berth.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is blocked: the system's theme is used.
}
