// An echo bot of Telegraf. BOT_STYLE=pino: as in grammy_bot.mjs; BOT_STYLE=catch: console.error(error).
import { readFileSync } from "node:fs";
import { Telegraf } from "telegraf";
import pino from "pino";

const token = readFileSync(process.env.BOT_TOKEN_FILE, "ascii").trim();
const bot = new Telegraf(token, { telegram: { apiRoot: process.env.BOT_API_URL } });
const style = process.env.BOT_STYLE;
const log = style === "pino" ? pino() : undefined;
bot.on("text", async (ctx) => {
  const text = ctx.message.text;
  if (log) log.info({ chat: ctx.chat.id, text }, "message");
  else console.log(`user ${ctx.chat.id} said: ${text}`);
  await ctx.reply(text);
});
const launched = bot.launch();
if (log) launched.catch((err) => { log.fatal({ err }, "the bot stopped"); process.exitCode = 1; });
else if (style === "catch") launched.catch((error) => { console.error("Bot failed:", error); process.exitCode = 1; });
