//! The layout as SVG.

use super::layers::{KIND_SIZE, LABEL_LINE, LABEL_SIZE, NAME_SIZE, WIDEST, second_line};
use super::{Area, DrawEdge, DrawNode, DrawState, Drawing, EdgeStyle, Layout, Wire};
use crate::chart::{line, picture, rect, text_at};
use crate::markup::{Element, el, path_point, px};
use crate::{text, theme};
use std::fmt::Write;

/// Straight last piece of a wire, for the arrow and the bars.
const LEAD: f64 = 12.0;

/// The picture; with its style sheet if it stands alone.
pub(super) fn render(drawing: &Drawing, layout: &Layout, alone: bool) -> Element {
    let (legend, legend_width) = legend(drawing, layout.height + 6.0);
    let width = layout.width.max(legend_width);
    let height = layout.height + if legend.is_empty() { 0.0 } else { 34.0 };
    let mut svg = picture(width, height, &drawing.title);
    if alone {
        svg = svg
            .with(el("style").constant(theme::STYLE))
            .with(rect(0.0, 0.0, width, height).set("class", "paper"));
    }
    svg = svg.with(el("title").text(drawing.title.as_str()));
    for (edge, wire) in drawing.edges.iter().zip(&layout.wires) {
        svg = svg.with(draw_wire(edge, wire));
    }
    for (edge, area) in &layout.labels {
        svg = svg.with(draw_label(
            &drawing.edges[*edge],
            area,
            layout.wires[*edge].is_loop,
        ));
    }
    for (node, area) in drawing.nodes.iter().zip(&layout.boxes) {
        svg = svg.with(draw_box(node, area));
    }
    svg.all(legend)
}

fn class(state: DrawState) -> &'static str {
    match state {
        DrawState::Trained => "box trained",
        DrawState::Frozen => "box frozen",
        DrawState::Idle => "box idle",
        DrawState::Column => "box column",
        DrawState::Objective => "box objective",
    }
}

/// Columns are pills, objectives have sharp corners, modules are in between.
fn corner(state: DrawState, height: f64) -> f64 {
    match state {
        DrawState::Column => height / 2.0,
        DrawState::Objective => 0.0,
        _ => 7.0,
    }
}

fn draw_box(node: &DrawNode, area: &Area) -> Element {
    let kind = second_line(node);
    let middle = area.x + area.width / 2.0;
    let centre = area.y + area.height / 2.0;
    let shape = rect(area.x, area.y, area.width, area.height)
        .set("class", class(node.state))
        .set("rx", px(corner(node.state, area.height)));
    let name_y = if kind.is_empty() {
        centre + 4.5
    } else {
        centre - 3.5
    };
    let name = text::fit(&node.name, NAME_SIZE * 1.06, WIDEST);
    let mut group = el("g")
        .with(el("title").text(format!("{}\n{kind}", node.name)))
        .with(shape)
        .with(text_at(middle, name_y, "middle strong", name).set("font-size", NAME_SIZE));
    if !kind.is_empty() {
        let kind = text::fit(&kind, KIND_SIZE, WIDEST);
        group = group
            .with(text_at(middle, centre + 13.5, "middle muted", kind).set("font-size", KIND_SIZE));
    }
    group
}

fn draw_label(edge: &DrawEdge, area: &Area, beside: bool) -> Element {
    let mut group = el("g")
        .with(el("title").text(format!("{} → {}\n{}", edge.from, edge.to, edge.label)))
        .with(rect(area.x, area.y, area.width, area.height).set("class", "label-back"));
    let (x, anchor) = if beside {
        (area.x + 4.0, "muted")
    } else {
        (area.x + area.width / 2.0, "muted middle")
    };
    for (index, text) in edge.label.lines().enumerate() {
        let y = area.y + 2.0 + LABEL_LINE * (index as f64 + 0.78);
        let text = text::fit(text, LABEL_SIZE, WIDEST);
        group = group.with(text_at(x, y, anchor, text).set("font-size", LABEL_SIZE));
    }
    group
}

fn wire_class(style: EdgeStyle) -> &'static str {
    match (style.scheduled, style.contract_only) {
        (true, _) => "wire dashed",
        (false, true) => "wire dotted",
        (false, false) => "wire",
    }
}

fn arrow_class(style: EdgeStyle) -> &'static str {
    if style.scheduled {
        "arrow dashed"
    } else {
        "arrow"
    }
}

fn draw_wire(edge: &DrawEdge, wire: &Wire) -> Element {
    let mut group = el("g").with(el("title").text(format!("{} → {}", edge.from, edge.to)));
    let (Some(&tip), Some(&before)) = (wire.points.last(), wire.points.iter().nth_back(1)) else {
        return group;
    };
    // Unit vector along the last piece; wires are vertical there, loops horizontal.
    let (dx, dy) = if wire.is_loop {
        (-1.0, 0.0)
    } else {
        (0.0, (tip.1 - before.1).signum())
    };
    let d = if wire.is_loop {
        loop_path(&wire.points)
    } else {
        curve(&wire.points, dy)
    };
    group = group.with(el("path").set("class", wire_class(edge.style)).set("d", d));
    let mut arrow = String::new();
    let (back_x, back_y) = (tip.0 - dx * 8.0, tip.1 - dy * 8.0);
    path_point(&mut arrow, 'M', tip.0, tip.1);
    path_point(&mut arrow, 'L', back_x - dy * 4.0, back_y + dx * 4.0);
    path_point(&mut arrow, 'L', back_x + dy * 4.0, back_y - dx * 4.0);
    arrow.push('Z');
    group = group.with(
        el("path")
            .set("class", arrow_class(edge.style))
            .set("d", arrow),
    );
    if edge.style.stop_gradient {
        for distance in [10.0, 14.0] {
            let (x, y) = (tip.0 - dx * distance, tip.1 - dy * distance);
            group = group.with(line(
                x - dy * 6.0,
                y - dx * 6.0,
                x + dy * 6.0,
                y + dx * 6.0,
                "stop",
            ));
        }
    }
    group
}

/// Curves between the rows, straight lines within them, and a straight lead to the arrow.
fn curve(points: &[(f64, f64)], direction: f64) -> String {
    let mut out = String::new();
    let last = points.len() - 1;
    path_point(&mut out, 'M', points[0].0, points[0].1);
    for (index, pair) in points.windows(2).enumerate() {
        let ((ax, ay), (bx, by)) = (pair[0], pair[1]);
        // Points alternate: odd ones enter a row, even ones leave it.
        if index % 2 == 1 {
            path_point(&mut out, 'L', bx, by);
            continue;
        }
        let end = if index + 1 == last {
            by - direction * LEAD
        } else {
            by
        };
        let middle = f64::midpoint(ay, end);
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "C{} {} {} {} {} {}",
            px(ax),
            px(middle),
            px(bx),
            px(middle),
            px(bx),
            px(end)
        );
        if index + 1 == last {
            // The arrow's own tip covers the end of the line.
            path_point(&mut out, 'L', bx, by - direction * 4.0);
        }
    }
    out
}

fn loop_path(points: &[(f64, f64)]) -> String {
    let mut out = String::new();
    path_point(&mut out, 'M', points[0].0, points[0].1);
    let [_, (ax, ay), (bx, by), (ex, ey)] = *points else {
        return out;
    };
    let _ = write!(
        out,
        "C{} {} {} {} {} {}",
        px(ax + 6.0),
        px(ay),
        px(bx + 6.0),
        px(by),
        px(ex + 4.0),
        px(ey)
    );
    out
}

/// What the colours and lines mean, as far as they occur, and the width of it all.
fn legend(drawing: &Drawing, top: f64) -> (Vec<Element>, f64) {
    let states = [
        (DrawState::Trained, "trained"),
        (DrawState::Frozen, "frozen"),
        (DrawState::Idle, "takes no part"),
        (DrawState::Column, "data column"),
        (DrawState::Objective, "objective"),
    ];
    let styles = [
        ("wire dashed", "scheduled: truth to prediction"),
        ("wire dotted", "contract only"),
        ("stop", "no gradient"),
    ];
    let used = |class: &str| {
        drawing.edges.iter().any(|edge| match class {
            "stop" => edge.style.stop_gradient,
            _ => wire_class(edge.style) == class,
        })
    };
    let mut x = 16.0;
    let baseline = top + 14.0;
    let mut out = Vec::new();
    for (state, meaning) in states {
        if drawing.nodes.iter().any(|node| node.state == state) {
            out.push(
                rect(x, top + 3.0, 20.0, 14.0)
                    .set("class", class(state))
                    .set("rx", px(corner(state, 14.0).min(7.0))),
            );
            out.push(text_at(x + 26.0, baseline, "muted small", meaning));
            x += 26.0 + text::width(meaning, 11.0) + 18.0;
        }
    }
    for (class, meaning) in styles {
        if used(class) {
            let y = top + 10.0;
            if class == "stop" {
                out.push(line(x, y, x + 20.0, y, "wire"));
                out.push(line(x + 8.0, y - 6.0, x + 8.0, y + 6.0, class));
                out.push(line(x + 12.0, y - 6.0, x + 12.0, y + 6.0, class));
            } else {
                out.push(line(x, y, x + 20.0, y, class));
            }
            out.push(text_at(x + 26.0, baseline, "muted small", meaning));
            x += 26.0 + text::width(meaning, 11.0) + 18.0;
        }
    }
    (out, x)
}
