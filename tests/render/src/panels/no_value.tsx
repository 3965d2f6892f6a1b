/** What a panel without a single series says. */

export function NoValue({ text }: { text?: string }) {
  return (
    <div
      data-testid="no-value"
      style={{ height: "100%", display: "flex", alignItems: "center", justifyContent: "center", opacity: 0.7 }}
    >
      {text ?? "No data"}
    </div>
  );
}
