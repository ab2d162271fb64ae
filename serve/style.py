"""The demo's style sheet; colours are the theme's own, so that dark mode follows."""

CSS = """
.gradio-container {
  width: 100% !important;
  max-width: 1120px !important;
  margin: 0 auto !important;
}
.hide-container > .html-container {
  padding: 0 !important;
}
.graft-head {
  padding: 20px 0 4px;
}
.graft-head h1 {
  font-size: 26px;
  font-weight: 650;
  margin: 0;
  letter-spacing: -0.01em;
}
.graft-head p {
  margin: 4px 0 0;
  color: var(--body-text-color-subdued);
}
.graft-facts {
  display: grid;
  grid-template-columns: max-content 1fr;
  gap: 6px 16px;
  margin: 0;
  font-size: 14px;
}
.graft-facts dt {
  color: var(--body-text-color-subdued);
}
.graft-facts dd {
  margin: 0;
  overflow-wrap: anywhere;
  font-variant-numeric: tabular-nums;
}
.graft-model input {
  padding-right: 32px !important;
  text-overflow: ellipsis;
}
.graft-cards {
  display: grid;
  gap: 14px;
}
.graft-card {
  display: grid;
  grid-template-columns: 152px 1fr;
  gap: 20px;
  align-items: center;
  padding: 16px;
  border: 1px solid var(--border-color-primary);
  border-radius: 12px;
  background: var(--block-background-fill);
}
.graft-card figure {
  margin: 0;
  width: 152px;
  height: 152px;
  border-radius: 8px;
  overflow: hidden;
  background: var(--background-fill-secondary);
}
.graft-card img {
  width: 100%;
  height: 100%;
  object-fit: contain;
  margin: 0;
}
.graft-name {
  font-size: 13px;
  color: var(--body-text-color-subdued);
  overflow-wrap: anywhere;
}
.graft-best {
  font-size: 22px;
  font-weight: 650;
  margin: 0 0 10px;
  overflow-wrap: anywhere;
}
.graft-row {
  display: grid;
  grid-template-columns: minmax(72px, 24%) 1fr 56px;
  gap: 12px;
  align-items: center;
  font-size: 14px;
  line-height: 24px;
}
.graft-row span:first-child {
  overflow: hidden;
  text-overflow: ellipsis;
  white-space: nowrap;
}
.graft-row span:last-child {
  text-align: right;
  font-variant-numeric: tabular-nums;
}
.graft-bar {
  height: 8px;
  border-radius: 4px;
  background: var(--background-fill-secondary);
  overflow: hidden;
}
.graft-bar i {
  display: block;
  height: 100%;
  border-radius: 4px;
  background: var(--color-accent);
}
.graft-row + .graft-row .graft-bar i {
  opacity: 0.55;
}
.graft-card .graft-pixels {
  image-rendering: pixelated;
}
.graft-error {
  grid-template-columns: 32px 1fr;
  gap: 12px;
  border-color: var(--error-border-color);
  background: var(--error-background-fill);
}
.graft-error figure {
  width: 32px;
  height: auto;
  text-align: center;
  font-size: 28px;
  font-weight: 650;
  color: var(--error-icon-color);
  background: none;
}
.graft-error p {
  margin: 4px 0 0;
  overflow-wrap: anywhere;
}
.graft-hint {
  padding: 44px 16px;
  text-align: center;
  color: var(--body-text-color-subdued);
  border: 1px dashed var(--border-color-primary);
  border-radius: 12px;
}
.graft-empty {
  padding: 56px 24px;
  text-align: center;
  border: 1px solid var(--border-color-primary);
  border-radius: 12px;
  background: var(--block-background-fill);
}
.graft-empty h2 {
  font-size: 20px;
  font-weight: 650;
  margin: 0 0 8px;
}
.graft-empty p {
  margin: 0 0 16px;
  color: var(--body-text-color-subdued);
}
.graft-empty code {
  display: inline-block;
  padding: 12px 18px;
  border-radius: 8px;
  font-size: 15px;
  background: var(--background-fill-secondary);
  user-select: all;
}
.graft-warning {
  margin: 12px 0 0;
  font-size: 13px;
  color: var(--body-text-color-subdued);
  overflow-wrap: anywhere;
}
@media (max-width: 560px) {
  .graft-card { grid-template-columns: 1fr; }
}
"""
