// Images: which can be sent, how they are made small enough, and how they are shown.

import { element } from './tools.js';

export const IMAGE_TYPES = ['image/png', 'image/jpeg', 'image/gif', 'image/webp', 'image/avif'];
const IMAGE_LIMIT = 512 * 1024; // what the server accepts
const IMAGE_BOX = { width: 320, height: 300 };

const viewer = document.getElementById('viewer');
const large = document.getElementById('viewer-image');

/** Checks an image, and makes one that is too large for the server smaller. */
export async function prepare(file) {
  if (!IMAGE_TYPES.includes(file.type)) throw new Error('Only PNG, JPEG, GIF, WebP and AVIF images can be sent.');
  const size = await measure(file);
  if (!size) throw new Error(`“${file.name}” is not an image this browser can read.`);
  if (file.size <= IMAGE_LIMIT) return { blob: file, name: file.name, size };
  if (file.type === 'image/gif') throw new Error('An animation can have at most 512 KiB.');
  const bitmap = await createImageBitmap(file);
  for (const side of [2048, 1600, 1280, 960, 640]) {
    const scale = Math.min(1, side / Math.max(size.width, size.height));
    const canvas = Object.assign(document.createElement('canvas'), { width: Math.round(size.width * scale), height: Math.round(size.height * scale) });
    const context = canvas.getContext('2d');
    context.fillStyle = '#fff';
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise((done) => canvas.toBlob(done, 'image/jpeg', 0.85));
    if (blob && blob.size <= IMAGE_LIMIT) return { blob, name: file.name.replace(/\.\w+$/, '') + '.jpg', size };
  }
  throw new Error(`“${file.name}” is too large.`);
}

/** The size of an image in pixels, or null if it is none. */
export async function measure(blob) {
  try {
    const bitmap = await createImageBitmap(blob);
    const { width, height } = bitmap;
    bitmap.close();
    return { width, height };
  } catch {
    return null;
  }
}

/** The space of the picture is known beforehand, so nothing moves when it appears. */
export function picture(url, size, name) {
  const scale = Math.min(1, IMAGE_BOX.width / size.width, IMAGE_BOX.height / size.height);
  const label = String(name || 'image');
  const image = Object.assign(new Image(), { alt: label, width: Math.max(96, size.width * scale), height: Math.max(48, size.height * scale), src: url });
  const button = element('button', 'picture-button', image);
  button.type = 'button';
  button.title = label;
  button.addEventListener('click', () => {
    large.src = url;
    large.alt = label;
    viewer.showModal();
  });
  return button;
}

viewer.addEventListener('click', (event) => event.target !== large && viewer.close());
viewer.addEventListener('close', () => large.removeAttribute('src'));
