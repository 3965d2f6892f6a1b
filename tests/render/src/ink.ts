/** How much of each box of a picture is not background: a picture can be blank where the page was not. */

export async function inkOf(png: string, boxes: { x: number; y: number; width: number; height: number }[]): Promise<number[]> {
  const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${png}`)).blob());
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  context.drawImage(image, 0, 0);
  return boxes.map(({ x, y, width, height }) => {
    const pixels = new Uint32Array(context.getImageData(x, y, width, height).data.buffer);
    const background = pixels[0];
    return pixels.filter((pixel) => pixel !== background).length / pixels.length;
  });
}
