// An echo bot of grammY. BOT_STYLE=pino: JSON lines of pino, and the error of bot.start() in them;
// else what node prints for a rejection that nobody handles.
import { readFileSync } from "node:fs";
import { Bot } from "grammy";
import pino from "pino";

const token = readFileSync(process.env.BOT_TOKEN_FILE, "ascii").trim();
const bot = new Bot(token, { client: { apiRoot: process.env.BOT_API_URL } });
const log = process.env.BOT_STYLE === "pino" ? pino() : undefined;
bot.on("message:text", async (ctx) => {
  const text = ctx.message.text;
  if (log) log.info({ chat: ctx.chat.id, text }, "message");
  else console.log(`user ${ctx.chat.id} said: ${text}`);
  await ctx.reply(text);
});
const started = bot.start({ onStart: (me) => (log ?? console)[log ? "info" : "log"](`@${me.username} is running`) });
if (log) started.catch((err) => { log.fatal({ err }, "the bot stopped"); process.exitCode = 1; });
