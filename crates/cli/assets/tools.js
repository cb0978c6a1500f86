// Small tools for building the page.

export function element(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

/** Brings the children of `list` in line with `items`, keeping those that stay (and the focus in them). */
export function syncList(list, items, keyOf, create, update) {
  const old = new Map([...list.children].map((item) => [item.dataset.key, item]));
  items.forEach((item, index) => {
    const key = keyOf(item);
    const node = old.get(key) ?? create(item);
    old.delete(key);
    node.dataset.key = key;
    update(node, item);
    if (list.children[index] !== node) list.insertBefore(node, list.children[index] ?? null);
  });
  for (const node of old.values()) node.remove();
}

export function dressAvatar(node, name) {
  const words = name.trim().split(/[\s_.-]+/u).filter(Boolean);
  const initials = words.length > 1 ? [...words[0]][0] + [...words.at(-1)][0] : [...(words[0] ?? '?')].slice(0, 2).join('');
  node.textContent = initials.toLocaleUpperCase();
  node.className = `avatar hue-${hue(name)}`;
}

/** One of eight colours, always the same for a name. */
export function hue(name) {
  let hash = 7;
  for (const char of name) hash = (hash * 31 + char.codePointAt(0)) >>> 0;
  return hash % 8;
}

export function sentence(text) {
  return text ? `${text[0].toLocaleUpperCase()}${text.slice(1)}${/[.!?…]$/.test(text) ? '' : '.'}` : '';
}

/** Text with its web addresses as links. */
export function textContent(text) {
  const body = element('span', 'body');
  body.dir = 'auto';
  for (const [index, part] of text.split(/(https?:\/\/[^\s<>"]*[^\s<>".,;:!?)\]'])/u).entries()) {
    if (index % 2 === 0) body.append(part);
    else body.append(Object.assign(element('a', '', part), { href: part, target: '_blank', rel: 'noopener noreferrer' }));
  }
  return body;
}

export function isEmoji(text) {
  return /^(?:\p{Emoji_Presentation}|\p{Extended_Pictographic}\uFE0F){1,3}$/u.test(text);
}
