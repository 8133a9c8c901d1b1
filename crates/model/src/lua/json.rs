//! The library `cjson`, for the values that the scripts use. The fields of an object are in ascending order.

use mlua::{IntoLuaMulti, Lua, Table, Value};
use serde_json::{Map, Number};

use super::{function, wrong};

/// `cjson.encode` and `cjson.decode`.
pub(super) fn library(lua: &Lua) -> mlua::Result<Table> {
    let library = lua.create_table()?;
    library.set("encode", function(lua, |lua, value| encode(&value)?.to_string().into_lua_multi(lua))?)?;
    let parse = function(lua, |lua, value| {
        let Value::String(text) = value else { return Err(wrong("expected a string")) };
        let parsed = serde_json::from_slice(&text.as_bytes());
        let parsed: serde_json::Value = parsed.map_err(|error| wrong(&error.to_string()))?;
        decode(lua, &parsed)?.into_lua_multi(lua)
    })?;
    library.set("decode", parse)?;
    library.set("null", Value::NULL)?;
    Ok(library)
}

fn encode(value: &Value) -> mlua::Result<serde_json::Value> {
    Ok(match value {
        Value::Nil | Value::LightUserData(_) => serde_json::Value::Null,
        Value::Boolean(own) => (*own).into(),
        Value::Integer(own) => (*own).into(),
        #[allow(clippy::cast_possible_truncation)]
        Value::Number(own) if own.fract() == 0.0 && own.abs() < 1e14 => (*own as i64).into(),
        Value::Number(own) => Number::from_f64(*own).map_or(serde_json::Value::Null, Into::into),
        Value::String(own) => own.to_str()?.as_ref().into(),
        Value::Table(own) if own.raw_len() > 0 => {
            let parts = (1..=own.raw_len()).map(|index| encode(&own.raw_get(index)?));
            serde_json::Value::Array(parts.collect::<mlua::Result<_>>()?)
        }
        Value::Table(own) => {
            let mut pairs = vec![];
            for pair in own.pairs::<String, Value>() {
                let (name, value) = pair?;
                pairs.push((name, encode(&value)?));
            }
            pairs.sort_by(|one, other| one.0.cmp(&other.0));
            serde_json::Value::Object(Map::from_iter(pairs))
        }
        _ => return Err(wrong("Cannot serialise")),
    })
}

fn decode(lua: &Lua, value: &serde_json::Value) -> mlua::Result<Value> {
    Ok(match value {
        serde_json::Value::Null => Value::NULL,
        serde_json::Value::Bool(own) => Value::Boolean(*own),
        serde_json::Value::Number(own) => Value::Number(own.as_f64().unwrap_or(f64::INFINITY)),
        serde_json::Value::String(own) => Value::String(lua.create_string(own)?),
        serde_json::Value::Array(own) => {
            let parts: Vec<_> = own.iter().map(|part| decode(lua, part)).collect::<mlua::Result<_>>()?;
            Value::Table(lua.create_sequence_from(parts)?)
        }
        serde_json::Value::Object(own) => {
            let table = lua.create_table()?;
            for (name, part) in own {
                table.raw_set(name.as_str(), decode(lua, part)?)?;
            }
            Value::Table(table)
        }
    })
}
