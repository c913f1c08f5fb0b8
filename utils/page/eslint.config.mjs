// npm exec --yes eslint@9 -- -c utils/page/eslint.config.mjs utils/page
const browser = ["atob", "document", "window", "performance", "requestAnimationFrame", "setTimeout", "localStorage",
  "getComputedStyle", "ResizeObserver", "Path2D", "Image", "Option", "Blob", "URL"];
const shared = ["Editing", "Timeline", "unpack", "boxOf", "colourOf", "tracksOf"]; // from one script to the next

export default [{
  files: ["**/*.js"],
  languageOptions: {
    sourceType: "script",
    globals: Object.fromEntries([...browser, ...shared].map(name => [name, "readonly"])),
  },
  rules: {
    "no-undef": "error", "no-unused-vars": ["error", {varsIgnorePattern: `^(${shared.join("|")})$`}], "no-shadow": "error",
    "no-redeclare": ["error", {builtinGlobals: false}], "no-unreachable": "error", "no-dupe-keys": "error",
    "no-fallthrough": "error", "no-var": "error", "prefer-const": "error", eqeqeq: "error", strict: ["error", "global"],
  },
}];
