//! The library `cmsgpack`, for the values that the scripts use: it packs lists of texts, and unpacks anything.

use mlua::{Lua, MultiValue, Table, Value};

use super::{function, wrong};
use crate::redis::Bytes;

/// `cmsgpack.pack` and `cmsgpack.unpack`.
pub(super) fn library(lua: &Lua) -> mlua::Result<Table> {
    let library = lua.create_table()?;
    library.set(
        "pack",
        function(lua, |lua, value| {
            let Value::Table(list) = value else { return Err(wrong("the model packs only lists")) };
            let packed = Value::String(lua.create_string(pack(&list)?)?);
            Ok(MultiValue::from_iter([packed]))
        })?,
    )?;
    let unpack = function(lua, |lua, value| {
        let Value::String(text) = value else { return Err(wrong("expected a string")) };
        let (bytes, mut values) = (text.as_bytes(), vec![]);
        let mut rest: &[u8] = &bytes;
        while !rest.is_empty() {
            values.push(unpack(lua, &mut rest)?);
        }
        Ok(MultiValue::from_iter(values))
    })?;
    library.set("unpack", unpack)?;
    Ok(library)
}

/// The head of a list or a text: short, with a byte, with two or with four.
#[allow(clippy::cast_possible_truncation)]
fn head(packed: &mut Vec<u8>, length: usize, short: (u8, usize), kinds: [Option<u8>; 3]) {
    if length <= short.1 {
        packed.push(short.0 | length as u8);
    } else if let Some(kind) = kinds[0].filter(|_| length <= 0xff) {
        packed.extend([kind, length as u8]);
    } else if let Some(kind) = kinds[1].filter(|_| length <= 0xffff) {
        packed.push(kind);
        packed.extend((length as u16).to_be_bytes());
    } else if let Some(kind) = kinds[2] {
        packed.push(kind);
        packed.extend((length as u32).to_be_bytes());
    }
}

fn pack(list: &Table) -> mlua::Result<Vec<u8>> {
    let (mut packed, length) = (vec![], list.raw_len());
    head(&mut packed, length, (0x90, 15), [None, Some(0xdc), Some(0xdd)]);
    for index in 1..=length {
        let text: mlua::LuaString = list.raw_get(index)?;
        let text = text.as_bytes();
        head(&mut packed, text.len(), (0xa0, 31), [Some(0xd9), Some(0xda), Some(0xdb)]);
        packed.extend_from_slice(&text);
    }
    Ok(packed)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> mlua::Result<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length).ok_or_else(|| wrong("Missing bytes in input."))?;
    *rest = left;
    Ok(taken)
}

fn number(rest: &mut &[u8], length: usize) -> mlua::Result<usize> {
    Ok(take(rest, length)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_wrap)]
fn unpack(lua: &Lua, rest: &mut &[u8]) -> mlua::Result<Value> {
    let kind = take(rest, 1)?[0];
    let text = |rest: &mut &[u8], length| Ok(Value::String(lua.create_string(take(rest, length)?)?));
    match kind {
        0..=0x7f => Ok(Value::Number(kind.into())),
        0xe0..=0xff => Ok(Value::Number((kind as i8).into())),
        0xa0..=0xbf => text(rest, usize::from(kind & 0x1f)),
        0xd9 | 0xc4 => number(rest, 1).and_then(|length| text(rest, length)),
        0xda | 0xc5 => number(rest, 2).and_then(|length| text(rest, length)),
        0xdb | 0xc6 => number(rest, 4).and_then(|length| text(rest, length)),
        0x90..=0x9f => list(lua, rest, usize::from(kind & 0x0f)),
        0xdc => number(rest, 2).and_then(|length| list(lua, rest, length)),
        0xdd => number(rest, 4).and_then(|length| list(lua, rest, length)),
        0xc0 => Ok(Value::Nil),
        0xc2 | 0xc3 => Ok(Value::Boolean(kind == 0xc3)),
        0xcc..=0xcf => Ok(Value::Number(number(rest, 1 << (kind - 0xcc))? as f64)),
        0xcb => {
            let bytes = take(rest, 8)?.try_into().map_err(|_| wrong("Missing bytes in input."))?;
            Ok(Value::Number(f64::from_be_bytes(bytes)))
        }
        0x80..=0x8f => {
            let table = lua.create_table()?;
            for _ in 0..kind & 0x0f {
                let name = unpack(lua, rest)?;
                table.raw_set(name, unpack(lua, rest)?)?;
            }
            Ok(Value::Table(table))
        }
        _ => Err(wrong("Bad data format in input.")),
    }
}

/// The texts of a packed list; `None` if it is none.
pub(crate) fn texts(packed: &[u8]) -> Option<Vec<Bytes>> {
    let mut rest = packed;
    let length = match take(&mut rest, 1).ok()?[0] {
        kind @ 0x90..=0x9f => usize::from(kind & 0x0f),
        0xdc => number(&mut rest, 2).ok()?,
        _ => return None,
    };
    let mut text = || {
        let length = match take(&mut rest, 1).ok()?[0] {
            kind @ 0xa0..=0xbf => usize::from(kind & 0x1f),
            0xd9 => number(&mut rest, 1).ok()?,
            0xda => number(&mut rest, 2).ok()?,
            _ => return None,
        };
        Some(take(&mut rest, length).ok()?.to_vec())
    };
    (0..length).map(|_| text()).collect()
}

fn list(lua: &Lua, rest: &mut &[u8], length: usize) -> mlua::Result<Value> {
    let table = lua.create_table()?;
    for index in 1..=length {
        table.raw_set(index, unpack(lua, rest)?)?;
    }
    Ok(Value::Table(table))
}
