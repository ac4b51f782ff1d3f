//! Follows pointers through a message and writes what they lead to.
//! Always: each step checks that what it reads lies in its segment. A value is as deep as the text, which is bounded.

use super::message::Message;
use crate::{
    notation::capnp::{Body, Shape, Slot, Structs, Type},
    payload::{PayloadFault, Text, text::quoted_name},
};

const WORD: usize = 8;
const OUTSIDE: &str = "a pointer leads out of its segment";

pub(super) struct Walk<'a, 'm> {
    pub structs: &'a Structs,
    pub message: &'a Message<'m>,
    pub text: &'a mut Text,
}

/// A struct in the message: its data, in bits of the message, and its pointers.
#[derive(Clone, Copy, Default)]
struct View {
    segment: usize,
    /// The first bit of its data, and their number.
    data: usize,
    data_bits: usize,
    /// The first byte of its pointers, and their number.
    pointers: usize,
    pointer_count: usize,
}

/// Where a pointer leads.
enum Target {
    Null,
    Struct(View),
    List(Items),
}

/// A list in the message.
struct Items {
    count: usize,
    /// Bits from one element to the next.
    step: usize,
    /// The first element; a number alone is a struct that is only that.
    first: View,
    /// Elements are structs with a tag of their own.
    composite: bool,
}

impl<'m> Walk<'_, 'm> {
    pub fn event(&mut self) -> Result<(), PayloadFault> {
        let (start, bytes) = self.message.segment(0).unwrap_or((0, 0));
        if bytes < WORD {
            return Err(PayloadFault::record(start, "the message has no root"));
        }
        let view = match self.follow(0, start)? {
            Target::Struct(view) => view,
            Target::Null => View::default(),
            Target::List(_) => return Err(PayloadFault::record(start, "the message's root is a list")),
        };
        let structs = self.structs;
        let Some(body) = structs.0.first() else {
            return Err(PayloadFault::record(start, "the message has no struct"));
        };
        self.structure(body, view, start)
    }

    fn structure(&mut self, body: &Body, view: View, at: usize) -> Result<(), PayloadFault> {
        self.text.open(b'{', at)?;
        let chosen = match body.choice {
            None => None,
            Some(choice) => {
                let number = self.data(view, 4, choice.offset)?;
                if !body.fields.iter().any(|field| field.branch.map(u64::from) == Some(number)) {
                    let message = "a union holds a member that the schema does not name";
                    return Err(PayloadFault::record(self.byte_of(view, 4, choice.offset), message));
                }
                Some(number)
            }
        };
        for field in &body.fields {
            if field.branch.is_some() && field.branch.map(u64::from) != chosen {
                continue;
            }
            match &field.shape {
                Shape::Inner(inner) => {
                    self.text.name(&quoted_name(&field.name.text), at)?;
                    self.structure(inner, view, at)?;
                    self.text.comma();
                }
                Shape::Slot(slot) => self.field(&field.name.text, slot, view, field.branch.is_some(), at)?,
            }
        }
        self.text.close(b'}');
        Ok(())
    }

    fn field(
        &mut self,
        name: &str,
        slot: &Slot,
        view: View,
        is_member: bool,
        at: usize,
    ) -> Result<(), PayloadFault> {
        let Some(size) = slot.ty.data_size() else {
            if matches!(slot.ty, Type::Void) {
                if is_member {
                    self.text.name(&quoted_name(name), at)?;
                    self.text.word("true,", at)?;
                }
                return Ok(());
            }
            let offset = usize::try_from(slot.offset).unwrap_or(usize::MAX);
            let pointer = view.pointers + offset.saturating_mul(WORD);
            let target =
                if offset < view.pointer_count { self.follow(view.segment, pointer)? } else { Target::Null };
            let at = if offset < view.pointer_count { pointer } else { at };
            if matches!(target, Target::Null) && slot.default_bytes.is_none() {
                // The member that is set is there, whatever it holds.
                if is_member {
                    self.text.name(&quoted_name(name), at)?;
                    self.empty(&slot.ty, at)?;
                    self.text.comma();
                }
                return Ok(());
            }
            self.text.name(&quoted_name(name), at)?;
            match (&slot.default_bytes, &target) {
                (Some(default), Target::Null) if matches!(slot.ty, Type::Text) => {
                    self.text.string(default, at)?
                }
                (Some(default), Target::Null) => self.text.base64(default, at)?,
                _ => self.pointed(&slot.ty, target, at)?,
            }
            self.text.comma();
            return Ok(());
        };
        let at = self.byte_of(view, size, slot.offset);
        self.text.name(&quoted_name(name), at)?;
        let bits = self.data(view, size, slot.offset)? ^ slot.default;
        self.number(&slot.ty, bits, at)?;
        self.text.comma();
        Ok(())
    }

    /// What a null pointer stands for where a value must be.
    fn empty(&mut self, ty: &Type, at: usize) -> Result<(), PayloadFault> {
        match ty {
            Type::Text | Type::Data => self.text.word("\"\"", at),
            Type::List(_) => self.text.word("[]", at),
            Type::Struct(index) => {
                let structs = self.structs;
                match structs.0.get(*index) {
                    Some(body) => self.structure(body, View::default(), at),
                    None => self.text.word("{}", at),
                }
            }
            _ => self.text.word("true", at),
        }
    }

    fn pointed(&mut self, ty: &Type, target: Target, at: usize) -> Result<(), PayloadFault> {
        let mismatch = |message| Err(PayloadFault::record(at, message));
        match (ty, target) {
            (_, Target::Null) => self.empty(ty, at),
            (Type::Struct(index), Target::Struct(view)) => {
                let structs = self.structs;
                match structs.0.get(*index) {
                    Some(body) => self.structure(body, view, at),
                    None => self.text.word("{}", at),
                }
            }
            (Type::Text, Target::List(items)) => {
                let bytes = self.bytes_of(&items, at)?;
                let Some((0, text)) = bytes.split_last() else {
                    return mismatch("a text does not end with a zero byte");
                };
                self.text.string(text, items.first.data / 8)
            }
            (Type::Data, Target::List(items)) => {
                let bytes = self.bytes_of(&items, at)?;
                self.text.base64(bytes, at)
            }
            (Type::List(item), Target::List(items)) => self.list(item, &items, at),
            (Type::Struct(_), Target::List(_)) => mismatch("a pointer to a struct leads to a list"),
            (_, Target::Struct(_)) => mismatch("a pointer to a list leads to a struct"),
            (_, Target::List(_)) => mismatch("a pointer leads to what it should not"),
        }
    }

    fn list(&mut self, item: &Type, items: &Items, at: usize) -> Result<(), PayloadFault> {
        self.text.open(b'[', at)?;
        for index in 0..items.count {
            let mut view = items.first;
            let step = index * items.step;
            if items.composite {
                view.data += step;
                view.pointers += step / 8;
            } else if view.pointer_count > 0 {
                view.pointers += step / 8;
            } else {
                view.data += step;
            }
            let at = if view.data_bits > 0 { view.data / 8 } else { view.pointers };
            self.text.mark(at);
            match (item, item.data_size()) {
                (Type::Void, _) => self.text.word("true", at)?,
                (Type::Struct(index), _) => {
                    let structs = self.structs;
                    match structs.0.get(*index) {
                        Some(body) => self.structure(body, view, at)?,
                        None => self.text.word("{}", at)?,
                    }
                }
                (_, Some(size)) => {
                    let is_bit = items.step == 1 && !items.composite;
                    if (size == 0) != is_bit || (view.data_bits >> size) == 0 {
                        return Err(PayloadFault::record(at, "the elements of a list have another size"));
                    }
                    let bits = self.data(view, size, 0)?;
                    self.number(item, bits, at)?;
                }
                (_, None) => {
                    if view.pointer_count == 0 {
                        return Err(PayloadFault::record(at, "the elements of a list are no pointers"));
                    }
                    let target = self.follow(view.segment, view.pointers)?;
                    self.pointed(item, target, view.pointers)?;
                }
            }
            self.text.comma();
        }
        self.text.close(b']');
        Ok(())
    }

    fn number(&mut self, ty: &Type, bits: u64, at: usize) -> Result<(), PayloadFault> {
        match ty {
            Type::Bool => self.text.word(if bits & 1 == 1 { "true" } else { "false" }, at),
            Type::Integer { size, signed } => {
                let spare = 64 - (1_u32 << size);
                let value = if *signed {
                    i128::from((bits << spare).cast_signed() >> spare)
                } else {
                    i128::from(bits << spare >> spare)
                };
                self.text.integer(value, at)
            }
            Type::Float32 => {
                self.text.float(f64::from(f32::from_bits(u32::try_from(bits & 0xffff_ffff).unwrap_or(0))), at)
            }
            Type::Float64 => self.text.float(f64::from_bits(bits), at),
            Type::Enum(names) => {
                match usize::try_from(bits & 0xffff).ok().and_then(|index| names.get(index)) {
                    Some(name) => self.text.string(name.as_bytes(), at),
                    // No enumerant of this schema: the decoder says so.
                    None => {
                        let name = format!("@{}", bits & 0xffff);
                        self.text.string(name.as_bytes(), at)
                    }
                }
            }
            Type::Void | Type::Text | Type::Data | Type::List(_) | Type::Struct(_) => {
                self.text.word("null", at)
            }
        }
    }

    /// The byte at which a number lies, or would lie.
    fn byte_of(&self, view: View, size: u32, offset: u32) -> usize {
        view.data.saturating_add(usize::try_from(offset).unwrap_or(0) << size) / 8
    }

    /// What is beyond a struct's data is zero: its writer did not know it.
    fn data(&self, view: View, size: u32, offset: u32) -> Result<u64, PayloadFault> {
        let bits = 1_usize << size;
        let start = usize::try_from(offset).unwrap_or(usize::MAX >> 8).saturating_mul(bits);
        if start.saturating_add(bits) > view.data_bits {
            return Ok(0);
        }
        let at = view.data + start;
        let outside = || PayloadFault::record(at / 8, OUTSIDE);
        if size == 0 {
            let byte = self.message.bytes.get(at / 8).ok_or_else(outside)?;
            return Ok(u64::from(byte >> (at % 8) & 1));
        }
        let bytes = self.message.bytes.get(at / 8..at / 8 + bits / 8).ok_or_else(outside)?;
        Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn bytes_of(&self, items: &Items, at: usize) -> Result<&'m [u8], PayloadFault> {
        if items.composite || items.step != 8 {
            return Err(PayloadFault::record(at, "a text or its like is no list of bytes"));
        }
        let start = items.first.data / 8;
        let bytes: &'m [u8] = self.message.bytes;
        bytes.get(start..start + items.count).ok_or_else(|| PayloadFault::record(at, OUTSIDE))
    }

    /// Where the pointer at a byte of the message leads.
    fn follow(&self, segment: usize, at: usize) -> Result<Target, PayloadFault> {
        let outside = || PayloadFault::record(at, OUTSIDE);
        let (start, bytes) = self.message.segment(segment).ok_or_else(outside)?;
        if at < start || at + WORD > start + bytes {
            return Err(outside());
        }
        let pointer = self.message.word(at).ok_or_else(outside)?;
        if pointer & 3 != 2 {
            return self.near(segment, at + WORD, pointer, at);
        }
        // Far: a landing pad of one word holds the pointer; one of two says where the content is, and its tag.
        let segment = usize::try_from(pointer >> 32).map_err(|_| outside())?;
        let pad = usize::try_from(pointer >> 3 & 0x1fff_ffff).map_err(|_| outside())? * WORD;
        let (start, bytes) = self.message.segment(segment).ok_or_else(outside)?;
        let is_double = pointer >> 2 & 1 == 1;
        if pad + WORD * (1 + usize::from(is_double)) > bytes {
            return Err(outside());
        }
        let landing = self.message.word(start + pad).ok_or_else(outside)?;
        if !is_double {
            if landing & 3 == 2 {
                return Err(PayloadFault::record(start + pad, "a far pointer leads to a far pointer"));
            }
            return self.near(segment, start + pad + WORD, landing, start + pad);
        }
        let tag = self.message.word(start + pad + WORD).ok_or_else(outside)?;
        if landing & 7 != 2 || tag & 3 == 2 {
            return Err(PayloadFault::record(start + pad, "the landing pad of a far pointer is broken"));
        }
        let segment = usize::try_from(landing >> 32).map_err(|_| outside())?;
        let offset = usize::try_from(landing >> 3 & 0x1fff_ffff).map_err(|_| outside())? * WORD;
        let (start, _) = self.message.segment(segment).ok_or_else(outside)?;
        // The tag's own offset is zero: the content begins where the pad says.
        self.near(segment, start + offset, tag & !0xffff_fffc, at)
    }

    /// A pointer whose offset counts from the byte `origin`.
    fn near(&self, segment: usize, origin: usize, pointer: u64, at: usize) -> Result<Target, PayloadFault> {
        let outside = || PayloadFault::record(at, OUTSIDE);
        if pointer == 0 {
            return Ok(Target::Null);
        }
        let (start, bytes) = self.message.segment(segment).ok_or_else(outside)?;
        let end = start + bytes;
        let low = u32::try_from(pointer & 0xffff_ffff).unwrap_or(0).cast_signed() >> 2;
        let origin = i64::try_from(origin).map_err(|_| outside())?;
        let content = usize::try_from(origin + i64::from(low) * 8).map_err(|_| outside())?;
        let within =
            |bytes: usize| content >= start && content.checked_add(bytes).is_some_and(|last| last <= end);
        match pointer & 3 {
            0 => {
                let words = usize::try_from(pointer >> 32 & 0xffff).unwrap_or(0);
                let pointer_count = usize::try_from(pointer >> 48).unwrap_or(0);
                if !within((words + pointer_count) * WORD) {
                    return Err(outside());
                }
                let pointers = content + words * WORD;
                let data = content * 8;
                Ok(Target::Struct(View { segment, data, data_bits: words * 64, pointers, pointer_count }))
            }
            1 => {
                let count = usize::try_from(pointer >> 35).unwrap_or(0);
                let view = View { segment, data: content * 8, pointers: content, ..View::default() };
                let plain = |step: usize, pointer_count: usize| {
                    let data_bits = if pointer_count > 0 { 0 } else { step };
                    let first = View { data_bits, pointer_count, ..view };
                    Items { count, step, first, composite: false }
                };
                let items = match pointer >> 32 & 7 {
                    0 => plain(0, 0),
                    1 => plain(1, 0),
                    2 => plain(8, 0),
                    3 => plain(16, 0),
                    4 => plain(32, 0),
                    5 => plain(64, 0),
                    6 => plain(64, 1),
                    _ => {
                        // `count` is in words here, without the tag.
                        if !within(count.saturating_add(1).saturating_mul(WORD)) {
                            return Err(outside());
                        }
                        let tag = self.message.word(content).ok_or_else(outside)?;
                        let elements = usize::try_from(tag >> 2 & 0x3fff_ffff).unwrap_or(0);
                        let words = usize::try_from(tag >> 32 & 0xffff).unwrap_or(0);
                        let pointer_count = usize::try_from(tag >> 48).unwrap_or(0);
                        let step = (words + pointer_count) * WORD;
                        if tag & 3 != 0 || elements.saturating_mul(step) > count * WORD {
                            return Err(PayloadFault::record(
                                content,
                                "the tag of a list of structs is broken",
                            ));
                        }
                        let first = View {
                            segment,
                            data: (content + WORD) * 8,
                            data_bits: words * 64,
                            pointers: content + WORD + words * WORD,
                            pointer_count,
                        };
                        return Ok(Target::List(Items {
                            count: elements,
                            step: step * 8,
                            first,
                            composite: true,
                        }));
                    }
                };
                if !within(count.saturating_mul(items.step).div_ceil(8)) {
                    return Err(outside());
                }
                Ok(Target::List(items))
            }
            _ => Err(PayloadFault::record(at, "the message holds a capability, which is no data")),
        }
    }
}
