"""Own sentences of film dialogue by emotion: happy, sad, angry and neutral (CC0)."""

from __future__ import annotations

HAPPY = """
I got the job! They called me this morning.
We won, Dad, we actually won the whole thing!
You have no idea how good it feels to be home.
She said yes! She said yes before I even finished asking.
I could dance all night with you.
This is the best birthday I have ever had.
Look at him, he has your smile.
Everything is going to be wonderful from now on.
Oh, I love it, I absolutely love it!
You made it! I was so hoping you would come.
I haven't laughed like that in years.
The baby is healthy, and she has ten tiny fingers.
Come here and give me a hug, you lovely man.
What a glorious morning to be alive.
The doctor says I am completely cured.
I'm so proud of you I could burst.
We are going to have a little girl.
Did you see that? First place! First place!
Nothing could spoil this day.
My heart feels as light as a feather.
They loved the play, every single one of them.
Let's open the champagne, we have something to celebrate.
You always know how to make me smile.
I can't wait to show you the house.
At last, we are all together again.
It works! After all these months, it finally works!
I feel like singing from the rooftops.
You were brilliant tonight, simply brilliant.
That is the sweetest thing anyone has ever said to me.
Guess who passed all her exams? Me!
The sun is out, the coffee is hot, and I have the whole day with you.
Thank you, thank you, this means the world to me.
He remembered my birthday, and he brought flowers!
I am the luckiest woman in this town.
They are coming home for Christmas, all of them!
What a lovely surprise, I am delighted to see you.
It's a dream come true, and I never want to wake up.
Cheers, everyone, to many more years like this one!
I knew you could do it, I always knew.
Look at the lights, aren't they beautiful?
We have enough for the tickets, we are going to Paris!
I'm in love, and I don't care who knows it.
Our little bakery is full, there is a queue around the corner.
You look radiant, marriage suits you.
That was the most fun I've had in ages.
Hooray, it's snowing! No school today!
My grandson took his first steps today.
Every time I see you, the whole room gets brighter.
I did it, Mum! I swam all the way across!
There's nowhere else I would rather be.
The war is over, my boys are coming home!
We found her, safe and sound and fast asleep.
I feel wonderful, better than I have in years.
Oh, this cake is heavenly, may I have another slice?
They gave me the part, I'm going to be on the stage!
Listen to them laugh, isn't it the nicest sound?
You are the best thing that ever happened to me.
It fits perfectly, I feel like a princess.
I'm having the time of my life out here.
Welcome home, darling, dinner is ready and the fire is lit.
Good news, everybody: the hospital is letting him go home.
I slept like a child and woke up smiling.
This view, this wine, this company, life is good.
We paid off the house today, it is ours at last!
He asked me to dance, and I said of course.
What fun! Let's do it again!
I'm thrilled for you, you deserve every bit of it.
Such good people, such good food, I am a happy man.
You should have seen her face when she opened the box, she was beaming.
I'm free! No more exams, no more uniforms, just summer!
The children put on a show for us, it was adorable.
I'd marry you all over again tomorrow.
My team scored in the last minute, I nearly kissed the postman.
I am so happy that I don't know what to do with my hands.
The puppy fell asleep in my lap, I melted.
That's my girl! I'm bursting with pride!
Everything turned out just right, didn't it?
I got your letter and I read it ten times, I was so glad.
Isn't this marvellous? Just the two of us and the sea.
You came back! Oh, you came back to me!
We're rich, Harry, we're really rich!
I never knew I could be this content.
Good morning, sunshine, I made pancakes!
They're playing our song, come on, dance with me.
It's the first warm day of the year and I feel reborn.
He's going to make it, the worst is over.
My book is in the shop window, look, my name is on the cover!
What a marvellous idea, yes, let's go at once!
I couldn't ask for a better friend than you.
You got in! You got into medical school!
This little garden fills me with joy.
We made it to the top, look at that view!
Your laughter is my favourite sound in the world.
I am glad, truly glad, that you are my brother.
I feel alive again, thanks to you.
Best seats in the house, and with my best friend too!
Oh, you shouldn't have, it's gorgeous!
The harvest is in, and it's the best in twenty years.
Let's take the convertible and drive along the coast all day.
It was love at first sight, for both of us.
I keep pinching myself, it's all too good.
Come in, come in, I'm so pleased you could make it!
We beat them three to nothing!
I woke up and for once there was nothing to worry about.
They named the baby after me, can you imagine how honoured I am?
Haha, you're the funniest person I know.
Life has been kind to us, hasn't it, my love?
We did it together, all of us, and I am grateful.
I passed my driving test this morning!
The bride looks wonderful, and the groom can't stop grinning.
I have good friends, a warm bed and a fat cat, what more could I want?
Bravo! Encore! That was magnificent!
You're home early, how lovely!
My sister is getting married, and I'm the maid of honour!
Every day with you feels like a holiday.
Thank goodness, the test came back clear.
I love how quiet it is here, I could stay forever.
He called me Daddy for the first time.
We're going to the seaside, we're going to the seaside!
It's perfect, just the way I imagined it.
I'm so excited that I can hardly sit still.
You've made an old man very happy.
I have never been happier in my life.
Yes! Yes! A thousand times yes!
What a party, I danced until my shoes fell apart.
That song always puts me in a good mood.
I'm smiling so much my cheeks hurt.
They've cancelled the debt, we can start over!
I like it here, people are friendly and the bread is good.
How nice of you to think of me.
It's a pleasure to see you looking so well.
We had a lovely time at the lake.
That is good to hear, I'm pleased for them.
I'm rather looking forward to the weekend.
Nice work, I'm very satisfied with this.
It's good to have you back.
This is such fun, push me higher!
I adore that dress on you.
We laughed the whole way home.
I've got a good feeling about this one.
Ah, fresh bread and sunshine, that is happiness.
You can relax now, it all went beautifully.
We're celebrating tonight, and you're invited.
The kids are thrilled with the new bikes.
I couldn't be more pleased with how it turned out.
Ha! I told you we would make it!
So this is what bliss feels like.
He kissed me, right there under the streetlamp!
I finally bought the boat, she's a beauty.
I feel blessed to have all of you around this table.
You're going to be a grandmother, congratulations!
It's your favourite, I baked it just for you.
We can stay! They said we can all stay!
That goal was magic, pure magic!
All my life I wanted this, and here it is.
I won't ever forget this summer, it was pure joy.
Oh, it's so good to hear your voice.
"""

SAD = """
I miss her every single day.
There's nobody left to call.
He died before I could tell him I loved him.
I keep setting two plates on the table, out of habit.
It doesn't matter anymore, nothing does.
I should have been there for you.
Everyone I ever loved is gone.
Please don't go, I can't do this alone.
She doesn't remember my name.
We had to sell the house Dad built.
I'm so sorry for your loss.
I cried myself to sleep again last night.
There was so much I still wanted to say to her.
I gave him everything, and it wasn't enough.
The doctors say there's nothing more they can do.
He just packed his things and left.
I don't think I will ever be happy again.
They never even said goodbye.
My little boy would have been ten today.
I have nothing left to give.
It's been a year, and it still hurts to breathe.
Nobody came to my party.
I failed you, I failed all of you.
We used to talk for hours, and now there's only silence.
I found his letters in the attic, and I couldn't stop weeping.
Our dog died this morning, she was fourteen.
You were the only friend I had.
All those years, wasted.
I wish I could turn back the clock.
She won't be coming home this time.
I feel so empty inside.
The house is too quiet without the children.
He never got to see his daughter.
I'm tired, so very tired of pretending.
They closed the mine, and the town died with it.
I lost the baby.
I just want to lie here in the dark.
Tell him I waited as long as I could.
It broke my heart to see her like that.
I'm not good enough, I never was.
You promised you would come back, and you didn't.
The last thing I said to him was cruel, and I can't take it back.
We buried her under the old oak tree.
I don't have anyone to share it with.
His chair is still by the window.
Sometimes I still hear her voice in the kitchen.
It's over, isn't it? It's really over.
I had a family once.
Nobody needs an old man like me.
I'm sorry, I let you down.
I thought he loved me, I was wrong.
We lost everything in the fire, all the photographs too.
My mother looked at me as if I were a stranger.
I watched the train until I couldn't see it anymore.
I never learned to say I was sorry, and now it's too late.
She cried for her mother all night.
There's no point in going on.
He was my best friend, and now he is just a name on a stone.
I can't stop thinking about the day she left.
I'd give anything for one more day with him.
You don't love me anymore, do you?
This was her favourite song, please turn it off.
I sit at the window and watch other people live.
All my dreams came to nothing.
I know you did your best, but we couldn't save him.
My heart is broken and I don't know how to mend it.
We are saying goodbye today to a good man.
It rains every day, and every day I think of you.
They took my children away from me.
I don't feel anything now, I'm numb.
I wasn't there when she needed me.
No letters, no calls, it's as if I had never existed.
I'm all alone in this big cold house.
The swing is still there, but nobody plays on it now.
You'll forget me, everyone does.
That was the last time I saw my brother alive.
He has six months, perhaps less.
I wanted to be a dancer, before the accident.
What did I do wrong, why does everybody leave?
There's a hole in my chest where she used to be.
I keep his number in my phone, I can't bring myself to erase it.
She grew up so fast, and I missed it all.
I have been crying since they told me.
We tried for years, and it just never happened.
My marriage is over.
I'm a failure, just like my father said.
They're all dead, Captain, every one of them.
How do you go on after something like that?
Poor thing, she has nobody in the world.
I'm homesick, I want to go home.
The light went out of his eyes, and that was that.
It's my fault that she's gone.
I don't belong anywhere.
I never stopped loving you, I just stopped hoping.
She passed away in her sleep.
We won't see each other again, will we?
They laughed, and I pretended it didn't hurt.
My hands don't work the way they used to, I can't play anymore.
I couldn't even afford flowers for the grave.
You were right about me, I'm worthless.
He doesn't write anymore.
Nothing will ever be the same without him.
The good years are behind us.
I suppose this is goodbye, then.
I hate to see you suffer like this.
I lost my job, my house and then my wife.
Even the birds have left.
She was so young.
It's hard to get up in the morning.
I'm sorry I wasn't a better father.
There were four of us once, now there's only me.
I'm just so disappointed.
I thought you would be proud of me.
We had so little time.
I'd hoped it would end differently.
The cat keeps looking for him.
I can't remember what her laugh sounded like.
It feels as though I've been grieving my whole life.
They say time heals, but it doesn't.
I don't want to talk about it, it hurts too much.
He took his own life.
I wept when I saw what they had done to the old place.
I'm afraid it's bad news: he didn't survive.
You can't imagine how lonely it gets here.
I have no one, not a soul.
My father never once said that he loved me.
She left a note, and that was all.
The team lost, and I missed the final kick.
I wish you had told me sooner, I could have said goodbye.
We drifted apart, and I let it happen.
I'm not angry, I'm just sad.
Every Christmas I put a candle in the window, but he never comes.
Don't cry for me, I have had my time.
It was a small funeral, hardly anyone came.
Such a pity, he had such talent.
I look in the mirror and I see an old, lonely woman.
I always knew you'd leave me one day.
Hold me, just hold me for a little while.
It was supposed to be our year.
I feel like I'm drowning in sorrow.
They forgot me.
It aches right here, all the time.
I can't bring her back, no matter what I do.
I lost my faith somewhere along the way.
Dad's not getting better, is he?
I unpacked her suitcase today, it still smells of her.
We all miss you so much.
You broke my heart, you know that?
Nothing tastes of anything since he left.
I'm feeling a bit down today.
It makes me sad to see the shop closed.
I regret it every day of my life.
Those days will never come back.
I'm sorry to hear that, it must be very hard for you.
I wanted so badly for this to work.
Nobody understands how much I miss them.
She was the love of my life, and I let her go.
I can't afford to feed my own children.
There is no happy ending for people like us.
"""

ANGRY = """
How dare you speak to me like that!
Get out of my house, and don't come back!
I'm sick and tired of your excuses.
You lied to me! You looked me in the eye and lied!
Don't you ever touch her again!
Shut up and listen for once in your life!
I told you a hundred times not to do that!
Who do you think you are?
This is an outrage, I want to see the manager right now!
You ruined everything, are you satisfied?
I hate you! I hate you with all my heart!
Stop it! Stop it this instant!
You had no right to read my letters.
I have had enough of your nonsense.
Are you deaf? I said no!
Give it back, you thief!
He will pay for what he did to my brother.
You call this work? It's a disgrace!
Take your filthy hands off my desk!
I waited three hours, and you didn't even call!
Don't tell me to calm down!
You're a liar and a coward.
If you ever come near my family again, I'll kill you.
I don't want to hear another word from you!
You selfish, ungrateful child!
What the hell is wrong with you?
You betrayed me, after all I did for you!
I will not be treated like a servant in my own home.
That's it, you're fired!
You think this is funny? Wipe that grin off your face!
They cheated us, every last penny!
You never listen, you never have!
Go on, hit me, see what happens!
This is the last time you make a fool of me.
I'm furious, and I have every right to be.
You knew, and you said nothing!
Don't you dare walk away from me!
I gave you one simple thing to do, one!
You broke your promise again.
Leave me alone, all of you!
How many times do I have to say it?
It's your fault that we're in this mess!
I won't stand for this any longer.
You can go to hell, and take your money with you.
That man is a crook and everybody knows it.
Move your car, you idiot, you're blocking the road!
I don't care what the rules say, this is unjust!
You went behind my back.
My patience is at an end.
I want an apology, and I want it now.
They treat us like animals!
You've insulted my wife, sir, and you will answer for it.
Don't give me that look, you know what you did.
You stole my idea and put your name on it!
I'll never forgive you for this, never.
Get your hands off me!
Enough! Both of you, to your rooms!
What gives you the right to decide for me?
You spoiled little brat, pick that up!
I'm going to make you regret the day you met me.
This company has robbed us for years!
Answer me when I'm talking to you!
You always do this, you always make it about yourself!
I should have thrown you out years ago.
You are a disgrace to this uniform, soldier!
I asked for one thing, quiet, and you can't even manage that.
He hit my son! I'll break his neck!
Traitor! We trusted you!
I'm not paying for this garbage!
Don't you understand plain English? Leave!
You have some nerve, showing your face here.
You used me, and I let you, and that makes me furious.
Your dog has destroyed my garden for the last time!
I demand to know who gave that order.
Stop shouting at my children!
I'm done being polite.
You left us to rot, and now you want forgiveness?
Whose stupid idea was this?
It makes my blood boil just to think of it.
You took the car without asking, again!
I've worked here for ten years, and this is how you thank me?
I've never been so insulted in all my life.
Don't lie to me, I saw you with her.
Open this door, or I'll break it down!
You people make me sick.
Look what you did to my car!
He's laughing at us, that arrogant little man.
If you interrupt me one more time, I'm leaving.
I don't need your pity, I need you to get out.
You hurt my sister, and now you deal with me.
Damn it, why doesn't anything work in this place?
What kind of a father does that?
You drank it all away, every cent we had!
I said put it down!
Don't play the innocent with me.
I've cleaned up after you for the last time.
That's a filthy lie, and you know it!
You owe me money, and I want it today.
You're late again, and I don't want to hear why.
They have no shame, none at all!
I can't stand the sight of you.
How could you be so careless?
This is unacceptable, totally unacceptable.
I will see you in court!
You are not my father, you don't get to tell me what to do!
Shame on you, picking on a child!
I'm warning you, one more step.
You treat this place like a hotel!
Nobody talks to my mother like that!
You let him die, you did nothing!
They cut my wages and bought themselves a yacht!
Oh, now you're sorry? Now?
Don't blame me for your mistakes!
You think you can just walk in here and give orders?
I've had it up to here with this family!
You promised me, you swore on your mother's grave!
Turn that noise off before I throw it out of the window!
You make me so angry I could scream.
I want him punished.
He had no business being there!
Are you calling me a liar?
You will regret this, mark my words.
Coward! Come out and fight!
I'm not a child, so stop treating me like one.
Why do you always have to ruin it?
It's my life, not yours!
Where were you when we needed you? Drunk, as usual!
I told them it was dangerous, and those fools laughed at me!
Rubbish! Absolute rubbish, every word!
You can keep your flowers, I'm not that easily bought.
You were supposed to watch him!
Try that again and I'll call my lawyer.
I'm tired of being ignored.
It's just not fair, he gets everything!
This is the third time this week, it's really annoying.
You might at least have the decency to apologise.
I'm not happy about this, not happy at all.
Would you please stop interrupting me?
He annoys me, always tapping with that pen.
I find your tone offensive.
You've wasted my whole afternoon.
That neighbour of ours drives me mad.
Nobody asked for your opinion!
I resent that remark.
Why must everything be my job?
They've raised the rent again, the greedy swine!
You broke it, so you pay for it!
Give me one good reason why I shouldn't hit you.
You don't get to cry now, not after what you did.
Put that phone away when I'm speaking to you!
My own brother, stabbing me in the back!
You made her cry, and I won't let that go.
We are not leaving until somebody takes responsibility!
I never want to see you again, do you hear?
The nerve of that woman!
"""

NEUTRAL = """
The train leaves at ten past four from platform two.
Put the keys on the table when you leave.
The meeting has been moved to Thursday.
I usually take the bus to work.
The shop on the corner sells stamps.
There are three files in the top drawer.
He works for the city, in the water department.
My sister lives in a town near the coast.
Please sign here, and once more at the bottom.
The report has twelve pages and two tables.
She parked the car behind the library.
It takes about twenty minutes on foot.
You turn left at the church, then straight on.
The museum opens at nine and closes at five.
I put the letter in your box yesterday.
We need milk, eggs and a loaf of bread.
The second door on the right is the office.
He said he would call around noon.
The room is on the third floor.
I have an appointment with the dentist at three.
The form asks for your date of birth.
They painted the fence last week.
This bag weighs about four kilos.
The soup needs another ten minutes.
We have two copies of that book.
The path follows the river for a mile.
The package should be delivered on Monday.
I think the blue one is larger than the green one.
Your coat is hanging in the hall.
He studied chemistry before he became a teacher.
The printer is out of paper.
There is a pharmacy opposite the station.
The first part explains how the machine works.
She takes her tea without sugar.
The window faces the street.
We'll start with the figures from last year.
My number is on the back of the card.
The forecast says it may rain in the afternoon.
The car is a grey four-door, about six years old.
I read the contract this morning.
He'll be in the office until six.
You can leave your shoes by the door.
The house has five rooms and a small yard.
It was built in nineteen thirty-two.
The lamp goes next to the sofa.
The next bus is in a quarter of an hour.
I bought these at the market.
She is the manager of the sales team.
Would you pass me the salt, please?
There are some forms to fill in.
The bank is closed on Saturdays.
He speaks French and some Italian.
The bill comes to forty-two pounds.
We met at a conference in Leeds.
The train from Bristol arrives on platform six.
Please hold the line, I'll put you through.
I'm calling about the flat you advertised.
The paint needs to dry overnight.
They deliver on Tuesdays and Fridays.
I left a message with your secretary.
The engine was checked in March.
He wears a dark suit and a grey hat.
The lecture is about the history of maps.
You'll find the instructions inside the lid.
My brother is two years older than me.
The office moved to the other side of the river.
It's a quarter to seven.
We have a table for four by the window.
The file is called summary, it's in the shared folder.
Cut the paper along the dotted line.
She was wearing a brown coat, I think.
The ferry runs every hour in summer.
Please wait here, the doctor will see you shortly.
I'd like two tickets for the evening show.
The water is turned off between ten and twelve.
He went to the post office an hour ago.
The company employs about sixty people.
This road leads to the airport.
Add the flour, then the eggs, and stir.
The list is in alphabetical order.
We usually eat at seven.
The witness said she saw a white van.
The key fits the cellar door.
I'll send you the address by email.
The test consists of two parts.
The chairs are stacked in the corner.
He is about six feet tall, with short brown hair.
The garden is behind the house.
We have been using the same supplier for years.
The results will be published next month.
Take one tablet in the morning and one at night.
The photograph was taken in Rome.
They changed the timetable in May.
The phone is in the hallway.
She asked for the minutes of the last meeting.
It costs twelve dollars, including tax.
The plane lands at half past eight.
I think that's his brother over there.
The battery lasts about six hours.
The hotel is two streets from here.
We can go through the details after lunch.
The box contains screws, a bracket and a cable.
He wrote it down on a piece of paper.
I usually work from home on Wednesdays.
The building on the left is the town hall.
The dog belongs to the people next door.
They sell fruit and vegetables.
The cupboard is made of oak.
You need a password to log in.
The curtain is green, and so is the carpet.
The delivery came at eleven.
We'll meet in the lobby at eight.
There's some tea in the pot.
The map shows the old city walls.
He took the stairs instead of the lift.
My office is the one at the end of the corridor.
The class begins in September.
The water boils at a hundred degrees.
Our guests arrive on Friday evening.
She put the groceries in the kitchen.
The document was signed by both parties.
The radio said there would be roadworks on the bridge.
I have lived in this street since I was a child.
It depends on the size of the order.
The second chapter deals with trade.
I'll have the chicken, and a glass of water.
The laundry is in the basket.
They're open until ten on weekdays.
Can you tell me what time it is?
What is the name of your street?
Where do you keep the spare bulbs?
How many people are coming to the meeting?
Which floor is the accounts department on?
Do you want milk in your coffee?
Is this seat taken?
When does the library close?
Did you post the letter?
Could you repeat the last number, please?
I'll be back in an hour.
Let me write that down.
All right, I'll let them know.
Yes, that's correct.
No, I don't think so, it was on Tuesday.
He didn't say when he would be back.
I haven't seen the file, ask at the desk.
She isn't in the office today.
We don't open before nine.
There's nothing in the box except some paper.
They haven't decided on the date yet.
It doesn't matter which one you take, they're the same.
I don't take sugar, thanks.
The museum isn't far from the station.
He's not at his desk at the moment.
Nobody has asked for the room on Monday.
Okay, next item on the list.
I went to the shop and then I came home.
You asked about the car, it's in the garage.
As I said, the office is on the second floor.
First we measure the wall, then we cut the board.
He lives with his parents.
I work in insurance.
We had fish for dinner.
It's the same as last time.
I'll think about it and let you know.
The name is Morgan, with an M.
Just leave it on the counter.
I was born in a small town in the north.
"""
