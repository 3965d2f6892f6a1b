/** Text: Markdown, made safe by `@grafana/data`. */

import { PanelPlugin, renderMarkdown, type PanelProps } from "@grafana/data";

interface Options {
  content: string;
}

function TextPanel({ options }: PanelProps<Options>) {
  return <div className="markdown-html" dangerouslySetInnerHTML={{ __html: renderMarkdown(options.content) }} />;
}

export function textPanel(): PanelPlugin<Options> {
  const plugin = new PanelPlugin<Options>(TextPanel);
  plugin.meta = { ...plugin.meta, skipDataQuery: true };
  return plugin;
}
