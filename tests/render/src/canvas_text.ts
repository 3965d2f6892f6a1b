/** Remembers what text is on each canvas: axes are drawn with `fillText`, which leaves nothing to read in the page. */

export interface CanvasText {
  text: string;
  /** Of the text, in CSS pixels from the canvas' corner. */
  left: number;
  right: number;
  top: number;
  bottom: number;
}

const written = new WeakMap<HTMLCanvasElement, CanvasText[]>();

/** From now on; to be called before anything is drawn. */
export function rememberCanvasText(): void {
  const context = CanvasRenderingContext2D.prototype;
  const { clearRect, fillText } = context;
  context.clearRect = function (x, y, width, height) {
    if (x <= 0 && y <= 0 && width >= this.canvas.width && height >= this.canvas.height) written.delete(this.canvas);
    clearRect.call(this, x, y, width, height);
  };
  context.fillText = function (text, x, y, ...rest) {
    fillText.call(this, text, x, y, ...rest);
    const drawn = written.get(this.canvas) ?? [];
    drawn.push(box(this, text, x, y));
    written.set(this.canvas, drawn);
  };
}

export function textOn(canvas: HTMLCanvasElement): CanvasText[] {
  return written.get(canvas) ?? [];
}

function box(context: CanvasRenderingContext2D, text: string, x: number, y: number): CanvasText {
  const size = context.measureText(text);
  const place = context.getTransform().transformPoint({ x, y });
  const ratio = context.canvas.width / (context.canvas.clientWidth || context.canvas.width);
  return {
    text,
    left: (place.x - size.actualBoundingBoxLeft) / ratio,
    right: (place.x + size.actualBoundingBoxRight) / ratio,
    top: (place.y - size.actualBoundingBoxAscent) / ratio,
    bottom: (place.y + size.actualBoundingBoxDescent) / ratio,
  };
}
