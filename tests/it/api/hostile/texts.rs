//! The texts.

use std::collections::BTreeSet;

/// Texts that have hurt somebody somewhere, alone and wrapped.
pub(super) fn texts() -> Vec<String> {
    let long = [1_000, 5_000].map(|n| "A".repeat(n));
    let kernels = [
        // Paths.
        "../../../../../../tmp/adaptd-hostile",
        "..\\..\\..\\adaptd-hostile",
        "/tmp/adaptd-hostile",
        "....//....//adaptd-hostile",
        "file:///etc/passwd",
        "%2e%2e%2fadaptd-hostile",
        "%252e%252e%252fadaptd-hostile",
        "..%c0%af..%c0%afadaptd-hostile",
        "C:\\adaptd-hostile",
        "\\\\host\\share",
        "~root/adaptd-hostile",
        "CON",
        ".",
        "..",
        // Control characters.
        "a\0b",
        "\0",
        "a\r\nX-Injected: 1\r\n\r\n<html>",
        "a%0d%0aX-Injected:%201",
        "\u{1b}[31mred\u{1b}[0m",
        "a\tb\u{b}c",
        "\u{7f}\u{85}",
        // Unicode.
        "\u{202e}gpj.exe",
        "\u{2066}a\u{2069}",
        "\u{feff}a",
        "\u{200b}\u{200d}",
        "a\u{300}\u{301}\u{302}",
        "\u{1f427}\u{1f468}\u{200d}\u{1f469}",
        "\u{10ffff}\u{fffd}\u{fffe}",
        "\u{df}\u{130}\u{131}\u{212a}",
        "\u{ff0e}\u{ff0e}\u{ff0f}adaptd-hostile",
        // SQL, shells, templates, formats.
        "' or '1'='1",
        "'; drop table jobs; --",
        "\" or 1=1 --",
        "1) union all values (1) --",
        "%' escape '\\",
        "$(touch adaptd-hostile)",
        "`touch adaptd-hostile`",
        "; touch adaptd-hostile;",
        "| touch adaptd-hostile",
        "{{7*7}}${7*7}<%= 7*7 %>",
        "${jndi:ldap://x/a}",
        "%s%s%n%x%d",
        "{0}{name}{}",
        "=cmd|' /c calc'!A0",
        // Pages and documents.
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "{\"$ref\":\"#/definitions\"}",
        "[[[[[[[[[[",
        "<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]>",
        // Numbers and words that are taken for others.
        "",
        " ",
        "null",
        "NaN",
        "-0",
        "1e999",
        "9223372036854775808",
        "-1",
        "00",
        "0x7f",
        "true",
        "__proto__",
        // References and ids.
        "theirs-domain",
        "theirs-domain@1",
        "a@",
        "a@0",
        "a@-1",
        "a@99999999999999999999",
        "a@1@1",
        "job_0197f1c2-7a30-7cc0-8000-0123456789ab",
        "key_00000000-0000-0000-0000-000000000000",
        "dom_zzz",
        "W/\"1\", \"2\"",
        "text/csv; charset=utf-7",
        "multipart/form-data; boundary=x",
        "P99999999Y",
        "PT0S",
    ];
    let wraps: [fn(&str) -> String; 7] = [
        |k| k.to_owned(),
        |k| format!("a{k}"),
        |k| format!("{k}.csv"),
        |k| format!("a,{k},b"),
        |k| format!("a&{k}=#?"),
        |k| percent(k),
        |k| k.chars().rev().collect(),
    ];
    let all = kernels.into_iter().chain(long.iter().map(String::as_str));
    let all: BTreeSet<String> = all.flat_map(|k| wraps.map(|wrap| wrap(k))).collect();
    assert!(all.len() >= 500, "{}", all.len());
    all.into_iter().collect()
}

/// Everything but letters and digits as `%XX`.
pub(super) fn percent(text: &str) -> String {
    let one = |b: u8| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") };
    text.bytes().map(one).collect()
}
