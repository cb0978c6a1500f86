//! What names, messages and images may be.

use std::fmt;

/// Characters.
const MAX_NAME: usize = 24;
const MAX_ROOM_NAME: usize = 32;
const MAX_TEXT: usize = 2_000;
const MAX_IMAGE_NAME: usize = 200;
/// Bytes.
const MAX_IMAGE: usize = 512 << 10;
/// What every browser shows and none runs.
const IMAGE_TYPES: [&str; 5] = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"];

/// Why somebody may not do what they asked for. The text is for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Name,
    NameTaken,
    Full,
    RoomName,
    TooManyRooms,
    NoRoom,
    NoText,
    LongText,
    NoImage,
    ImageSize,
    ImageType,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "a name has 1 to 24 characters",
            Self::NameTaken => "name is taken",
            Self::Full => "the chat is full",
            Self::RoomName => "a room name has 1 to 32 characters",
            Self::TooManyRooms => "there are 100 rooms already",
            Self::NoRoom => "join a room first",
            Self::NoText => "a message needs text",
            Self::LongText => "a message has at most 2,000 characters",
            Self::NoImage => "an image is sent as binary",
            Self::ImageSize => "an image has at most 512 KiB",
            Self::ImageType => "only PNG, JPEG, GIF, WebP and AVIF images can be sent",
        })
    }
}

impl std::error::Error for Refused {}

/// The name of a person, without the space around it.
pub(crate) fn name(name: &str) -> Result<&str, Refused> {
    trimmed(name, MAX_NAME).ok_or(Refused::Name)
}

/// The name of a room, without the space around it.
pub(crate) fn room_name(name: &str) -> Result<&str, Refused> {
    trimmed(name, MAX_ROOM_NAME).ok_or(Refused::RoomName)
}

fn trimmed(name: &str, max: usize) -> Option<&str> {
    let name = name.trim();
    (!name.is_empty() && !is_longer(name, max)).then_some(name)
}

/// Counts no further than it must.
fn is_longer(text: &str, max: usize) -> bool {
    text.chars().nth(max).is_some()
}

/// Whether a text can be a message.
pub(crate) fn text(text: &str) -> Result<(), Refused> {
    if text.trim().is_empty() {
        return Err(Refused::NoText);
    }
    if is_longer(text, MAX_TEXT) { Err(Refused::LongText) } else { Ok(()) }
}

/// Whether an image of `size` bytes can be sent.
pub(crate) fn image(content_type: &str, size: usize) -> Result<(), Refused> {
    if !IMAGE_TYPES.contains(&content_type) {
        return Err(Refused::ImageType);
    }
    if size > MAX_IMAGE { Err(Refused::ImageSize) } else { Ok(()) }
}

/// The name of an image, or as much of it as is passed on.
pub(crate) fn image_name(name: &str) -> &str {
    let end = name.char_indices().nth(MAX_IMAGE_NAME).map_or(name.len(), |(index, _)| index);
    &name[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_counted_in_characters() {
        assert_eq!(name("  Ada \n"), Ok("Ada"));
        assert_eq!(name(" \t"), Err(Refused::Name));
        assert_eq!(name(&"ü".repeat(25)), Err(Refused::Name));
        assert!(name(&"ü".repeat(24)).is_ok());
        assert_eq!(room_name(""), Err(Refused::RoomName));
        assert_eq!(room_name(&"鳥".repeat(33)), Err(Refused::RoomName));
        assert!(room_name(&"鳥".repeat(32)).is_ok());
    }

    #[test]
    fn messages_have_text_and_a_length() {
        assert_eq!(text(" \n"), Err(Refused::NoText));
        assert_eq!(text(&"é".repeat(2_001)), Err(Refused::LongText));
        assert_eq!(text(&"é".repeat(2_000)), Ok(()));
    }

    #[test]
    fn images_have_a_type_and_a_size() {
        assert_eq!(image("image/svg+xml", 10), Err(Refused::ImageType));
        assert_eq!(image("image/png", (512 << 10) + 1), Err(Refused::ImageSize));
        assert_eq!(image("image/png", 512 << 10), Ok(()));
        assert_eq!(image_name(&"é".repeat(300)), "é".repeat(200));
        assert_eq!(image_name("dusk.png"), "dusk.png");
    }
}
