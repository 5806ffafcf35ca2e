# ruff: noqa: E501 - rows of words
"""The words mail programs put above quoted history and below a text, by language: data for `reply` and its rooms."""

from __future__ import annotations

# "wrote", as a regular expression; what may stand between it and the colon is in `attribution`.
WROTE = r"""wrote|writes|schrieb|geschrieben|a\ écrit|escribi[óo]|escreveu|ha\ scritto|schreef|geschreven|skrev
|skrifaði|kirjoitti|napisał\(?a?\)?|napisana\ przez|pisze|napsal\(?a?\)?|napísal\(?a?\)?|ezt\ írta|írta|a\ scris|написа
|је\ написа(?:о|ла)|je\ napisa(?:o|la|l|l/a)|napisa(?:o|la)(?:/la)?(?:\ je)?|έγραψε|(?:şunu|şunları)\ yazdı|yazdı
|написал\(?а?\)?|писал\(?а?\)?|пишет|написав\(?ла\)?|написав|написала|пише|đã\ viết|kirjutas|rakstīja|rašė|menulis|כתב/ה|כתב|כתבה|كتب"""
WROTE_ASIAN = r"写道|寫道|書きました|のメール|のメッセージ|님이\ 작성|작성|쓴\ 글"
# One of these is in every word of the two above: looked for first, as it costs little.
WROTE_STEMS = (
    "wrote", "writes", "schr", "écrit", "escrib", "escreveu", "scritto", "skrev", "skrif", "kirj", "napis", "napís", "napsal", "pisze", "írta", "scris", "напис",
    "писал", "пише", "έγραψε", "yazdı", "viết", "rakst", "raš", "menulis", "כתב", "كتب", "写道", "寫道", "書き", "メール", "メッセージ", "작성", "쓴 글",
)  # fmt: skip
# The first word of "On ... wrote:".
BEGIN = r"""on|am|le|el|il|em|op|den|på|w\ dniu|dnia|dne|dňa|no\ dia|wiadomość|pada|tor|ti|ke|ma|la|pe|su|vào|lúc|в|у|на|дана|dana|στις|în
|na|kl|þann|at|a|ב|في|於|在"""
# Words that no mail program puts between a date and "wrote", and people do: "On 3 January my colleague wrote:".
PROSE = r"""my|our|the|your|his|her|their|i|we|he|she|they|it|who|nobody|somebody|someone|everybody
|mein|meine|unser|unsere|ich|wir|er|sie|mon|ma|notre|nous|je|elle|mi|mis|nuestro|nuestra|yo|mio|mia|nostro|io
|meu|minha|nosso|nossa|eu|mijn|onze|ons|ik|wij|we|min|mitt|vår|vores|jeg|jag|vi|minun|mój|moja|nasz|ja|můj|náš|môj
|мой|моя|наш|наша|я|мы|мій|наша|ми"""
# Names of header fields as mail programs write them above what they quote; " / " parts them, as some are two words.
HEADER_FIELDS = {
    "from": """from / von / de / da / van / från / fra / lähettäjä / od / от / від / kimden / gönderen / feladó / remitente
        / expéditeur / mittente / frá / saatja / från / 发件人 / 寄件者 / 寄件人 / 發件人 / 差出人 / 送信者 / 보낸사람 / 보낸 사람 / מאת / من
        / expeditor / de la / nuo / no / từ / από / šalje / pošiljatelj / от кого""",
    "sent": """sent / gesendet / envoyé / envoye / enviado / enviado el / enviada em / enviado em / enviada / inviato / verzonden
        / skickat / sendt / lähetetty / wysłano / data wysłania / odesláno / odoslané / отправлено / надіслано / gönderilen / gönderildi
        / gönderme tarihi / gönderilme tarihi / elküldve / küldve / trimis / изпратено / στάλθηκε / poslano / 发送时间 / 發送時間
        / 寄件日期 / 傳送時間 / 送信日時 / 보낸 날짜 / 보낸날짜 / נשלח / saadetud / đã gửi / ngày gửi""",
    "date": """date / datum / data / fecha / dato / дата / tarih / dátum / ημερομηνία / ημερ. / päivämäärä / päiväys / 日期 / 日付 / 日時
        / 时间 / 날짜 / ngày / дата отправки""",
    "to": """to / an / a / à / para / til / till / aan / vastaanottaja / do / komu / pre / кому / kime / címzett / către / προς / за / до
        / prima / 收件人 / 收件者 / 宛先 / 받는사람 / 받는 사람 / אל / إلى / kam / saaja / đến / tới / destinataire / destinatario / destinatário""",
    "subject": """subject / betreff / betrifft / objet / asunto / assunto / oggetto / onderwerp / ämne / emne / aihe / temat / předmět
        / predmet / тема / относно / konu / tárgy / subiect / θέμα / zadeva / 主题 / 主旨 / 主題 / 件名 / 제목 / נושא / الموضوع / teema / efni
        / chủ đề / tiêu đề""",
}  # fmt: skip
# Fields that only a pasted raw header has.
RAW_FIELDS = "received / return-path / message-id / mime-version / content-type / dkim-signature / delivered-to / authentication-results / received-spf"
# A sentence that announces a pasted header.
ANNOUNCES_HEADER = r"headers?\b|kopfzeile|kopfdaten|en-têtes?|encabezado|cabecera|cabeçalho|intestazion|koptekst|brevhuvud|nagłówk|hlavičk|заголовк|заголовок|邮件头|ヘッダー|헤더"
ORIGINAL_MESSAGE = r"""original\ (?:message|e?-?mail|appointment)|urspr(?:ü|ue)ngliche\ (?:nachricht|mail|e-mail)|original-?nachricht|message\ d['’]origine
|(?:message|mail|e-mail)\ original|mensaje\ original|messaggio\ originale|mensagem\ original|oorspronkelijk\ bericht|origineel\ bericht
|ursprungligt\ meddelande|originalmeddelande|oprindelig\ (?:meddelelse|besked|mail)|opprinnelig\ melding|alkuper[äa]inen\ viesti|pôvodná\ správa
|původní\ (?:zpráva|e-?mail)|(?:oryginalna\ wiadomość|wiadomość\ oryginalna)|исходное\ сообщение|reply\ message|antwort|eredeti\ üzenet
|mesaj\ original|mesajul\ original|оригинално\ съобщение|αρχικό\ μήνυμα|(?:orijinal|özgün)\ (?:mesaj|ileti)|оригінальне\ повідомлення|thư\ gốc
|原始邮件|原始郵件|原文|元のメッセージ|원본\ ?(?:메시지|메일)|originalna\ poruka|izvorna\ poruka"""
FORWARDED = r"""forwarded\ (?:message|by\b)|begin\ forwarded\ message|weitergeleitete\ nachricht|message\ (?:transféré|réexpédié|transmis)
|mensaje\ reenviado|messaggio\ inoltrato|mensagem\ (?:re)?encaminhada|doorgestuurd\ bericht|vidarebefordrat\ (?:meddelande|mejl)
|videresendt\ (?:meddelelse|melding|besked)|(?:edelleen)?(?:lähetetty|välitetty)\ viesti|(?:treść\ )?przekazan[ae]j?\ wiadomoś|přeposlaná\ zpráva|preposlaná\ správa
|továbbított\ (?:üzenet|levél)|mesaj\ redirecționat|препратено\ съобщение|προωθημένο\ μήνυμα|iletil(?:en|miş)\ (?:ileti|mesaj)
|(?:пере(?:сылаемое|направленное|сланное)\ сообщение)|(?:переслане|перенаправлене)\ повідомлення|转发的?邮件|轉寄的?郵件|(?:メッセージを)?転送(?:された)?(?:メッセージ)?|전달된\ 메시지|weitergeleitet|thư\ (?:đã\ )?chuyển\ tiếp"""
# The same as a whole line without dashes (Apple Mail); what stands below is a header block.
BEGINS_FORWARDED = r"""begin\ forwarded\ message|anfang\ der\ weitergeleiteten\ nachricht|début\ du\ message\ (?:réexpédié|transféré)|inicio\ del\ mensaje\ reenviado
|inizio\ (?:del\ )?messaggio\ inoltrato|início\ da\ mensagem\ (?:re)?encaminhada|begin\ doorgestuurd\ bericht|start\ på\ videresendt\ besked|videresendt\ melding
|vidarebefordrat\ mejl|välitetty\ viesti\ alkaa|początek\ przekazywanej\ wiadomości|začátek\ přeposílané\ zprávy|začiatok\ preposlanej\ správy
|továbbított\ levél\ kezdete|începe\ mesajul\ redirecționat|начало\ переадресованного\ сообщения|початок\ листа,\ що\ пересилається|i̇?ileti\ başlangıcı
|forwarded\ message|(?:以下)?转发的?邮件|転送されたメッセージ|전달된\ 메시지"""
# What a forwarding program puts before a subject. "VS" forwards in Danish and Norwegian and answers in Finnish.
FORWARD_SUBJECT = r"fwd?|wg|tr|rv|i|enc|vs|vl|vb|pd|doorst|trans|továbbítás|přep|fs|πρθ|ilt|i̇lt|пер|转发|轉寄|轉發|転送|전달|chuyển tiếp"
# "My answers stand below": then the history of a program that marks no quotes has the sender's words in it.
ANSWERS_BELOW = r"""\bin-?line\b|\bin\ (?:red|blue|green|bold|capitals)\b|\b(?:answers?|comments?|repl(?:y|ies)|responses?|notes|remarks)\ (?:\w+\ ){0,2}below
|\bsee\ (?:my\ \w+\ )?below|\bbelow\ in\b|\b(?:siehe|stehen|stehe|steht|antworten?|kommentare?|anmerkungen)\ (?:\w+\ ){0,2}(?:unten|weiter\ unten)|\bunten\ in\b|\bs\.\ ?u\.
|\bin\ (?:rot|blau|grün|fett)\b|ci-dessous|plus\ bas|\ben\ (?:rouge|bleu|vert|gras|rojo|azul|verde|negrita)\b|más\ abajo|a\ continuación|\babajo\b|\babaixo\b|\bem\ (?:vermelho|azul|verde)\b
|qui\ sotto|di\ seguito|\bin\ (?:rosso|blu)\b|\bhieronder\b|\bzie\ onder|\bin\ (?:rood|blauw)\b|\bnedan\b|\bnedenfor\b|\bi\ (?:rött|rødt|blått|blåt)\b|\balla\b|\balle?lla\b|poniżej|na\ czerwono
|\bníže\b|\bčerveně\b|\bnižšie\b|\blejjebb\b|\balább\b|mai\ jos|по-долу|παρακάτω|aşağıda|\bниже\b|красным|\bнижче\b|bên\ dưới|红字|紅字|见下|見下|如下|赤字|以下に|아래"""
