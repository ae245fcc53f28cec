// The texts of the page, in two languages.

const texts = {
  en: {
    skip: "Skip to the content", overview: "Overview",
    active: "Active conversations", hitRate: "Cache hit rate", allowed: "Allowed", denied: "Denied",
    hitRateHint: "Reads of lists that Redis answered, per interval", latency: "Read latency",
    latencyHint: "Mean per interval, at the Conversation Manager",
    conversations: "Conversations now", speaker: "Speaker", conversation: "Conversation", state: "State",
    lastActivity: "Last activity", noConversations: "Nobody is talking.", more: "There are more than are shown.",
    events: "Events", noEvents: "None since this page was opened.",
    limits: "Allowed and denied by speaker", limitsHint: "Requests at this gateway since its start. Limits:",
    per: "per", noSpeakers: "No requests yet.", others: "all others",
    ok: "connected", wait: "connecting", down: "away", answers: "answers",
    stale: "What you see is as of {time}: some of it cannot be read right now.",
    hit: "hit", miss: "miss", secondsAgo: "seconds ago", noReads: "no reads yet",
    light: "Light", dark: "Dark", toTheme: "Switch to light or dark", toLanguage: "Mudar para português",
    retryIn: "retry in {s} s", resyncText: "some events were missed; everything was read again",
    ago: "{s} s ago", agoMin: "{m} min ago",
    message_received: "message", state_changed: "state", message_answered: "answer", request_denied: "denied", resync: "resync",
    listening: "listening", transcribing: "transcribing", waiting_for_llm: "waiting for LLM", speaking: "speaking", answered: "answered",
  },
  pt: {
    skip: "Ir para o conteúdo", overview: "Visão geral",
    active: "Conversas ativas", hitRate: "Acertos do cache", allowed: "Permitidas", denied: "Negadas",
    hitRateHint: "Leituras de listas que o Redis respondeu, por intervalo", latency: "Latência de leitura",
    latencyHint: "Média por intervalo, no Conversation Manager",
    conversations: "Conversas agora", speaker: "Falante", conversation: "Conversa", state: "Estado",
    lastActivity: "Última atividade", noConversations: "Ninguém está falando.", more: "Há mais do que as mostradas.",
    events: "Eventos", noEvents: "Nenhum desde que esta página foi aberta.",
    limits: "Permitidas e negadas por falante", limitsHint: "Requisições neste gateway desde o início. Limites:",
    per: "por", noSpeakers: "Nenhuma requisição ainda.", others: "todos os outros",
    ok: "conectado", wait: "conectando", down: "fora do ar", answers: "responde",
    stale: "O que você vê é de {time}: parte disso não pode ser lida agora.",
    hit: "acerto", miss: "falta", secondsAgo: "segundos atrás", noReads: "nenhuma leitura ainda",
    light: "Claro", dark: "Escuro", toTheme: "Alternar entre claro e escuro", toLanguage: "Switch to English",
    retryIn: "tente em {s} s", resyncText: "alguns eventos se perderam; tudo foi lido de novo",
    ago: "há {s} s", agoMin: "há {m} min",
    message_received: "mensagem", state_changed: "estado", message_answered: "resposta", request_denied: "negada", resync: "ressinc.",
    listening: "ouvindo", transcribing: "transcrevendo", waiting_for_llm: "esperando o LLM", speaking: "falando", answered: "respondida",
  },
};

// recall and remember also work in a browser that stores nothing.
export function recall(name) {
  try { return localStorage.getItem(name); } catch { return null; }
}
export function remember(name, value) {
  try { localStorage.setItem(name, value); } catch { /* for this visit only */ }
}

let language = recall("language") ?? (navigator.language.toLowerCase().startsWith("pt") ? "pt" : "en");
if (!Object.hasOwn(texts, language)) language = "en";

export function setLanguage(to) {
  language = to;
  remember("language", to);
}
export const current = () => language;
export const locale = () => (language === "pt" ? "pt-BR" : "en-GB");

// text returns the text with this name. Without one it returns the name itself, because a
// service may send a state or an event that this page does not know.
export function text(name, values = {}) {
  const found = Object.hasOwn(texts[language], name) ? texts[language][name] : String(name);
  return found.replace(/\{(\w+)\}/g, (all, key) => values[key] ?? all);
}

// line returns value as one line of at most 200 characters, or "" if value is no text.
// Other programs write what the page shows, so it replaces control characters and
// characters that change the direction of the text that follows.
export function line(value) {
  if (typeof value !== "string") return "";
  const clipped = value.length > 200 ? `${value.slice(0, 200)}…` : value;
  return clipped.replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, "\ufffd");
}

export function number(value, digits = 0) {
  return value.toLocaleString(locale(), { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
export function clock(ms) {
  return new Date(ms).toLocaleTimeString(locale(), { hour12: false });
}
