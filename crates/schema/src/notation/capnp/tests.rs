//! Places on the wire, held against what the reference compiler prints behind each field.

use std::collections::HashMap;

use super::*;
use crate::notation::{Files, Problems};

const PRINTED: &str = include_str!("../../../tests/payloads/layouts.capnp");

/// By struct and field: the place, and the number in a union. By struct and group: the place of the union's number.
#[derive(Debug, Default, PartialEq)]
struct Places {
    fields: HashMap<(String, String), (String, Option<u16>)>,
    tags: HashMap<(String, String), String>,
}

fn printed() -> Places {
    let mut places = Places::default();
    let (mut structure, mut around) = (String::new(), Vec::new());
    for line in PRINTED.lines() {
        let (code, comment) = line.split_once("  # ").unwrap_or((line, ""));
        let words: Vec<&str> = code.split_whitespace().collect();
        let tag = comment.split("union tag = ").nth(1).map(|tag| tag.parse().unwrap());
        match &words[..] {
            ["struct", name, ..] => {
                structure = (*name).to_owned();
                around = vec![String::new()];
            }
            ["union", "{"] => {
                let place = comment.strip_prefix("tag ").unwrap().to_owned();
                let name = around.last().cloned().unwrap();
                places.tags.insert((structure.clone(), name.clone()), place);
                around.push(name);
            }
            [name, ":group", "{"] => {
                places.fields.insert((structure.clone(), (*name).to_owned()), (String::new(), tag));
                around.push((*name).to_owned());
            }
            ["}"] => _ = around.pop(),
            [name, _, ty] => {
                let mut place = comment.split(", union tag").next().unwrap_or_default().to_owned();
                if ty.contains("Void") {
                    place = String::new();
                }
                places.fields.insert((structure.clone(), (*name).to_owned()), (place, tag));
            }
            _ => {}
        }
    }
    places
}

fn walk(structure: &str, around: &str, body: &Body, places: &mut Places) {
    let bits = |offset: u32, size: u32| format!("bits[{}, {})", offset << size, (offset + 1) << size);
    if let Some(choice) = body.choice {
        let place = bits(choice.offset, 4).replace("bits[", "bits [");
        places.tags.insert((structure.to_owned(), around.to_owned()), place);
    }
    for field in &body.fields {
        let name = field.name.text.clone();
        let place = match &field.shape {
            Shape::Inner(inner) => {
                walk(structure, &name, inner, places);
                String::new()
            }
            Shape::Slot(Slot { ty: Type::Void, .. }) => String::new(),
            Shape::Slot(slot) => match slot.ty.data_size() {
                Some(size) => bits(slot.offset, size),
                None => format!("ptr[{}]", slot.offset),
            },
        };
        places.fields.insert((structure.to_owned(), name), (place, field.branch));
    }
}

#[test]
fn every_place_is_the_reference_compilers() {
    let expected = printed();
    assert!(expected.fields.len() > 1000 && expected.tags.len() > 200, "the file was read");
    let mut got = Places::default();
    let files = Files::new("layouts.capnp", PRINTED);
    for number in 0..100 {
        let name = format!("S{number}");
        let mut problems = Problems::default();
        let compiled = resolve::compile(&files, "", Some(&name), &mut problems);
        let Some(compiled) = compiled else { panic!("{name}: {:?}", problems.faults) };
        walk(&name, "", &compiled.structs.0[0], &mut got);
    }
    for (name, place) in &expected.fields {
        assert_eq!(got.fields.get(name), Some(place), "{name:?}");
    }
    assert_eq!(got, expected);
}

#[test]
fn a_union_with_a_number_of_its_own_has_its_tag_there() {
    // A field that became a member of a union later: the tag's place was given behind the others.
    let text = "struct A { a :union { b @0 :Int32; c @3 :Int32; } d @1 :Int32; }";
    let numbered = text.replace("a :union", "a @2! :union");
    let tag = |text: &str| {
        let files = Files::new("a.capnp", text);
        let compiled = resolve::compile(&files, "", None, &mut Problems::default());
        compiled.map(|compiled| {
            let mut places = Places::default();
            walk("A", "", &compiled.structs.0[0], &mut places);
            places.tags[&("A".to_owned(), "a".to_owned())].clone()
        })
    };
    assert_eq!(tag(text), None, "the number 2 is missing");
    assert_eq!(tag(&numbered).as_deref(), Some("bits [64, 80)"));
}
