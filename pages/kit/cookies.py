"""How a component writes a cookie that lasts a year, also where another site shows the app in a frame.

A Hugging Face Space or a course's page does that. Browsers then store a cookie only if it is partitioned, that is,
kept apart for each site around the app.
"""

ATTRIBUTES_JS = """
const inForeignFrame = () => {
  try { void window.top.location.href; return false } catch { return window.isSecureContext }
}
const attributes = (age = 31536000) => {
  const foreign = inForeignFrame()
  const secure = foreign || location.protocol === "https:" ? "; secure" : ""
  const site = foreign ? "none" : "lax"
  return "; path=/; max-age=" + age + "; samesite=" + site + secure + (foreign ? "; partitioned" : "")
}
"""
